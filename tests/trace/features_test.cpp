#include "trace/features.h"

#include <gtest/gtest.h>

namespace foregate::trace {
namespace {

TEST(Features, TakesAboutTheShareAskedForAndNothingElseMatters) {
  int kept = 0;
  for (int64_t row = 0; row < 10'000; ++row) kept += features::is_chosen("imdb", row, 3, 0.2);
  EXPECT_NEAR(kept, 2000, 200);  // five standard deviations
  for (int64_t row = 0; row < 100; ++row) {
    EXPECT_TRUE(features::is_chosen("imdb", row, 3, 1.0));
    EXPECT_FALSE(features::is_chosen("imdb", row, 3, 0.0));
    // Whoever is kept at a small share is kept at a larger one.
    EXPECT_LE(features::is_chosen("imdb", row, 3, 0.2), features::is_chosen("imdb", row, 3, 0.5));
  }
}

}  // namespace
}  // namespace foregate::trace
