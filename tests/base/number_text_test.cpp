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

TEST(Numbers, NounsFollowTheirNumber) {
  EXPECT_EQ(number_of(0, "text"), "0 texts");
  EXPECT_EQ(number_of(1, "text"), "1 text");
  EXPECT_EQ(number_of(2, "text"), "2 texts");
  EXPECT_EQ(number_of(-1, "text"), "-1 texts");
  EXPECT_EQ(number_of(1000, "MoE layer"), "1,000 MoE layers");
  EXPECT_EQ(number_of(1, "pass"), "1 pass");
  EXPECT_EQ(number_of(2, "pass"), "2 passes");
  EXPECT_EQ(number_of(2, "batch"), "2 batches");
}

TEST(Numbers, WholeNumbers) {
  EXPECT_EQ(parse_whole_number("0"), 0U);
  EXPECT_EQ(parse_whole_number("010"), 10U);
  EXPECT_EQ(parse_whole_number("18446744073709551615"), 18446744073709551615U);
  for (const char* text : {"", "-1", "+1", "1.0", "1e3", "0x10", " 1", "1 ", "many",
                           "18446744073709551616", "99999999999999999999999"})
    EXPECT_FALSE(parse_whole_number(text)) << text;
}

TEST(Numbers, Decimals) {
  EXPECT_EQ(parse_decimal("0.5"), 0.5);
  EXPECT_EQ(parse_decimal("-1e-3"), -0.001);
  for (const char* text : {"", "nan", "inf", "-infinity", "1e999", "0,5", "0x1p-1", "1.5 ", "one"})
    EXPECT_FALSE(parse_decimal(text)) << text;
}

}  // namespace
}  // namespace foregate
