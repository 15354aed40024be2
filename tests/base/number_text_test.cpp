#include "base/number_text.h"

#include <gtest/gtest.h>

namespace foregate {
namespace {

TEST(Numbers, WithCommas) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
  EXPECT_EQ(with_commas(-1234), "-1,234");
  EXPECT_EQ(with_commas(-123), "-123");
}

TEST(Numbers, ClockTime) {
  EXPECT_EQ(clock_time(0), "0:00");
  EXPECT_EQ(clock_time(65.4), "1:05");
  EXPECT_EQ(clock_time(3725), "1:02:05");
}

TEST(Numbers, HumanBytes) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(999'960), "1.0 MB");
  EXPECT_EQ(human_bytes(28'600'000'000), "28.6 GB");
}

}  // namespace
}  // namespace foregate
