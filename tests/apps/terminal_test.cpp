#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "terminal/progress_bar.h"
#include "terminal/progress_line.h"
#include "terminal/stderr_style.h"
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

TEST(StderrStyle, OnlyATerminalThatIsNotDumbIsDrawnOn) {
  const auto style = [](bool is_terminal, const char* term, const char* no_color) {
    const StderrStyle found = stderr_style({is_terminal, term, no_color});
    return std::pair(found.redraws, found.colors);
  };
  const std::pair plain(false, false);
  EXPECT_EQ(style(true, "xterm-256color", nullptr), std::pair(true, true));
  EXPECT_EQ(style(true, "xterm-256color", ""), std::pair(true, true));  // as no-color.org says
  EXPECT_EQ(style(true, "xterm-256color", "1"), std::pair(true, false));
  EXPECT_EQ(style(true, "xterm-256color", "0"), std::pair(true, false));
  EXPECT_EQ(style(true, "dumb", nullptr), plain);
  EXPECT_EQ(style(true, nullptr, nullptr), plain);
  EXPECT_EQ(style(true, "", nullptr), plain);
  EXPECT_EQ(style(false, "xterm", nullptr), plain);
}

TEST(StderrStyle, WidthIsWhatTheUserThenTheTerminalSays) {
  EXPECT_EQ(terminal_width(nullptr, 132), 132);
  EXPECT_EQ(terminal_width("40", 132), 40);
  EXPECT_EQ(terminal_width(nullptr, 0), 80);
  for (const char* nonsense : {"", "0", "-5", "wide", "1e3", "99999999999999999999"})
    EXPECT_EQ(terminal_width(nonsense, 132), 132) << nonsense;
}

const ProgressLine kLine = {.label = "collect",
                            .share = 0.5,
                            .numbers = "30/60 traces",
                            .rate = "312 traces/min",
                            .remark = "1,000 tokens/s",
                            .time = "ETA 0:08"};

TEST(ProgressLine, TheBarGoesFirstAndTheNumbersStay) {
  EXPECT_EQ(kLine.fitted(200),
            "collect [############............] 30/60 traces, 312 traces/min, 1,000 tokens/s, ETA "
            "0:08");
  EXPECT_EQ(kLine.fitted(71),
            "collect [###...] 30/60 traces, 312 traces/min, 1,000 tokens/s, ETA 0:08");
  EXPECT_EQ(kLine.fitted(70), "collect 30/60 traces, 312 traces/min, 1,000 tokens/s, ETA 0:08");
  EXPECT_EQ(kLine.fitted(50), "collect 30/60 traces, 312 traces/min, ETA 0:08");
  EXPECT_EQ(kLine.fitted(39), "collect 30/60 traces, ETA 0:08");
  EXPECT_EQ(kLine.fitted(20), "collect 30/60 traces");
  EXPECT_EQ(kLine.fitted(17), "co.. 30/60 traces");
  EXPECT_EQ(kLine.fitted(16), "30/60 traces");
  EXPECT_EQ(kLine.fitted(11), "50%");
  EXPECT_EQ(kLine.text(),
            "collect [############............] 30/60 traces, 312 traces/min, 1,000 tokens/s, ETA "
            "0:08");
}

TEST(ProgressLine, IsNeverWiderThanTheTerminal) {
  ProgressLine unknown_total = kLine;
  unknown_total.share = -1;
  for (int columns = 0; columns < 120; ++columns) {
    for (const ProgressLine& line : {kLine, unknown_total}) {
      const std::string shown = line.fitted(columns);
      EXPECT_LE(static_cast<int>(shown.size()), std::max(columns, 3)) << shown;
      if (columns >= 12) {
        EXPECT_THAT(shown, HasSubstr("30/60 traces")) << columns;
      }
    }
  }
}

TEST(Rate, OneIsNotMany) {
  EXPECT_EQ(rate_text(1, "B", false), "1 B/s");
  EXPECT_EQ(rate_text(30, "texts", false), "30 texts/s");
  ::testing::internal::CaptureStderr();
  {
    Screen screen;
    for (const char* unit : {"traces", "batches"}) {
      const auto progress =
          TerminalProgress(screen).start({.label = "x", .unit = unit, .total = 1});
      progress->update(1);
      progress->finish();
    }
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("x 1/1 trace,"));
  EXPECT_THAT(text, HasSubstr("x 1/1 batch,"));
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
