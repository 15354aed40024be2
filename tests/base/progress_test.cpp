#include "base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foregate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Progress, PlainLinesWhenNotOnATerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("collect", "traces", 100, true, 40);
    progress.update(50, "1,000 tokens/s");
    progress.update(60);  // too soon for a second line
    progress.update(100);
    progress.finish();
    progress.finish();  // draws once
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("collect 50/100 traces"));
  EXPECT_THAT(text, HasSubstr("1,000 tokens/s"));
  EXPECT_THAT(text, HasSubstr("ETA"));
  EXPECT_THAT(text, HasSubstr("collect 100/100 traces"));
  EXPECT_THAT(text, Not(HasSubstr("60/100")));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST(Progress, BytesAreScaled) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("pulling", "B", 28'600'000'000, false, 0);
    progress.update(1'500'000);
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("pulling 1.5 MB/28.6 GB, "));
  EXPECT_THAT(text, HasSubstr("B/s, ETA "));
}

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

TEST(Numbers, Rate) {
  EXPECT_EQ(rate_text(1234.5, "texts", false), "1,234 texts/s");
  EXPECT_EQ(rate_text(2.34, "texts", false), "2.3 texts/s");
  EXPECT_EQ(rate_text(0.04, "texts", false), "2.4 texts/min");
  EXPECT_EQ(rate_text(5, "traces", true), "300 traces/min");
  EXPECT_EQ(rate_text(1'500'000, "B", false), "1.5 MB/s");
  EXPECT_EQ(rate_text(0.5, "B", false), "0 B/s");
}

TEST(Numbers, HumanBytes) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(999'960), "1.0 MB");
  EXPECT_EQ(human_bytes(28'600'000'000), "28.6 GB");
}

}  // namespace
}  // namespace foregate
