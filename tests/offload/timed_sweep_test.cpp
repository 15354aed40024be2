#include "offload/time/timed_sweep.h"

#include <gtest/gtest.h>

#include "offload/time/host_speed.h"
#include "time_texts.h"

namespace foregate::offload {
namespace {

TEST(TimedSweep, EveryCellIsARunOfItsOwn) {
  const auto geometry = stats::small_geometry(3, 12, 2);
  const auto texts = testing::sticky_texts(geometry, 3, 30);
  std::vector<TimedCell> cells;
  for (const int64_t slots : {1, 6, 12, 36}) {
    TimedCell& cell = cells.emplace_back();
    cell.options = testing::plain_options("lrfu-8", slots, 3);
    cell.options.prefetch = PrefetchRule();
    cell.foresight = [&] { return make_stand_in(geometry, {0.8, 0.7, 1, 5}); };
  }
  int64_t spans = 0;
  cells.back().timeline_steps = 4;
  cells.back().timeline = [&](TimelineLane, int64_t step, int, int, double, double seconds) {
    EXPECT_LT(step, 4);
    EXPECT_GT(seconds, 0);
    ++spans;
  };
  const auto open = [&] { return std::make_unique<testing::MemoryTexts>(texts); };
  const std::vector<TimedOutcome> outcomes = timed_sweep(geometry, open, cells, {{}, 3, 0});
  EXPECT_NE(outcomes[0].impossible.find("below what one layer needs"), std::string::npos);
  for (size_t i = 1; i < cells.size(); ++i) {
    const TimedResult alone =
        testing::run_timed(geometry, texts, cells[i].options, cells[i].foresight());
    EXPECT_EQ(outcomes[i].impossible, "");
    EXPECT_EQ(outcomes[i].result.seconds, alone.seconds);
    EXPECT_EQ(outcomes[i].result.useful_bytes, alone.useful_bytes);
    EXPECT_EQ(outcomes[i].result.token_seconds.count(), 90);
  }
  EXPECT_GT(spans, 4 * 3);
}

TEST(HostSpeed, IsThatOfSomeMachine) {
  const HostSpeed speed = measure_host(silent_run());
  EXPECT_GE(speed.threads, 1);
  EXPECT_GT(speed.read_bytes_per_second, 1e7);
  EXPECT_LT(speed.read_bytes_per_second, 1e14);
  EXPECT_GT(speed.read_bytes_per_second_beside_copy, 1e7);
}

}  // namespace
}  // namespace foregate::offload
