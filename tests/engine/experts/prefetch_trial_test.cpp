#include "engine/experts/prefetch_trial.h"

#include <gtest/gtest.h>

namespace foregate::engine {
namespace {

constexpr int64_t kTrial = 2 * PrefetchTrial::kTurns * PrefetchTrial::kTurn;

// How many of so many steps prefetch, which then take `with`, others `without`.
int64_t run(PrefetchTrial& trial, int64_t steps, double without, double with) {
  int64_t on = 0;
  for (int64_t i = 0; i < steps; ++i) {
    on += trial.on();
    trial.took(trial.on() ? with : without);
  }
  return on;
}

TEST(PrefetchTrial, StaysWithWhatIsFaster) {
  PrefetchTrial trial;
  EXPECT_EQ(run(trial, kTrial, 1, 0.9), kTrial / 2);
  EXPECT_TRUE(trial.pays());
  EXPECT_EQ(run(trial, 100, 1, 0.9), 100);
}

TEST(PrefetchTrial, TwoPercentAreNoGain) {
  for (const double with : {0.985, 1.0, 1.2}) {
    PrefetchTrial trial;
    EXPECT_EQ(run(trial, kTrial, 1, with), kTrial / 2);
    EXPECT_FALSE(trial.pays());
    EXPECT_EQ(run(trial, 100, 1, with), 0) << with;
  }
}

TEST(PrefetchTrial, IsTriedAgain) {
  PrefetchTrial trial;
  run(trial, kTrial, 1, 2);
  EXPECT_EQ(run(trial, PrefetchTrial::kRest, 1, 2), 0);
  EXPECT_EQ(run(trial, kTrial, 1, 0.5), kTrial / 2);
  EXPECT_TRUE(trial.on());
}

}  // namespace
}  // namespace foregate::engine
