#include "base/run_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/recorded_run.h"

namespace foregate {
namespace {

using ::testing::ElementsAre;

TEST(SilentRun, ShowsNothingSaysNothingNeverStops) {
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  const RunContext& run = silent_run();
  const auto task = run.progress.start({.label = "work", .unit = "steps", .total = 2});
  task->update(1, "half");
  task->finish();
  run.log.warning("nobody reads {}", "this");
  EXPECT_FALSE(run.stop.stop_requested());
  EXPECT_NO_THROW(run.stop.check("all"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST(StopToken, SaysWhatIsKept) {
  testing::RecordedRun run;
  run.stop_after(0);
  try {
    run.context().stop.check("2 of 3 are kept");
    FAIL() << "a stop was asked for";
  } catch (const InterruptedError& error) {
    EXPECT_STREQ(error.what(), "interrupted; 2 of 3 are kept");
  }
}

TEST(Logger, PutsMessagesTogether) {
  testing::RecordedRun run;
  run.context().log.debug("{} of {}", 1, 2);
  run.context().log.info("in braces: {{}}");
  run.context().log.warning("{}", "w");
  EXPECT_THAT(run.messages(), ElementsAre("debug: 1 of 2", "info: in braces: {}", "warning: w"));
}

}  // namespace
}  // namespace foregate
