#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "terminal/progress_bar.h"
#include "terminal/terminal_logger.h"

namespace foregate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Progress, PlainLinesWhenNotOnATerminal) {
  ::testing::internal::CaptureStderr();
  {
    Screen screen;
    const auto progress = TerminalProgress(screen).start({.label = "collect",
                                                          .unit = "traces",
                                                          .total = 100,
                                                          .per_minute = true,
                                                          .done_before = 40});
    progress->update(50, "1,000 tokens/s");
    progress->update(60);  // too soon for a second line
    progress->update(100);
    progress->finish();
    progress->finish();  // draws once
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
    Screen screen;
    const auto progress =
        TerminalProgress(screen).start({.label = "pulling", .unit = "B", .total = 28'600'000'000});
    progress->update(1'500'000);
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("pulling 1.5 MB/28.6 GB, "));
  EXPECT_THAT(text, HasSubstr("B/s, ETA "));
}

TEST(Progress, QuietDrawsNothing) {
  ::testing::internal::CaptureStderr();
  {
    Screen screen;
    screen.verbosity = Verbosity::kQuiet;
    const auto progress = TerminalProgress(screen).start({.label = "collect", .unit = "traces"});
    progress->update(1);
    progress->finish();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

std::string said(Verbosity verbosity) {
  ::testing::internal::CaptureStderr();
  Screen screen;
  screen.verbosity = verbosity;
  TerminalLogger log(screen);
  log.debug("a {}", 1);
  log.info("b");
  log.warning("c {{}}");
  log.error("d {}");
  return ::testing::internal::GetCapturedStderr();
}

TEST(TerminalLogger, SaysAsMuchAsIsWanted) {
  EXPECT_EQ(said(Verbosity::kVerbose), "a 1\nb\nwarning: c {}\nerror: d {}\n");
  EXPECT_EQ(said(Verbosity::kNormal), "b\nwarning: c {}\nerror: d {}\n");
  EXPECT_EQ(said(Verbosity::kQuiet), "warning: c {}\nerror: d {}\n");
}

TEST(Rate, Text) {
  EXPECT_EQ(rate_text(1234.5, "texts", false), "1,234 texts/s");
  EXPECT_EQ(rate_text(2.34, "texts", false), "2.3 texts/s");
  EXPECT_EQ(rate_text(0.04, "texts", false), "2.4 texts/min");
  EXPECT_EQ(rate_text(5, "traces", true), "300 traces/min");
  EXPECT_EQ(rate_text(1'500'000, "B", false), "1.5 MB/s");
  EXPECT_EQ(rate_text(0.5, "B", false), "0 B/s");
}

}  // namespace
}  // namespace foregate
