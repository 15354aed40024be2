#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace foregate {
namespace {

// First outputs of SplitMix64 for seed 1234567, as published with the algorithm's reference code.
TEST(Random, MatchesSplitMix64) {
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317ULL);
  EXPECT_EQ(random.next(), 3203168211198807973ULL);
  EXPECT_EQ(random.next(), 9817491932198370423ULL);
}

TEST(Random, BelowIsUniform) {
  Random random(1);
  std::vector<int> counts(7);
  constexpr int kDraws = 70'000;
  for (int i = 0; i < kDraws; ++i) ++counts[random.below(7)];
  // Five standard deviations of a binomial count.
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 5 * std::sqrt(10'000 * 6.0 / 7));
}

TEST(Random, NormalHasMeanZeroAndVarianceOne) {
  Random random(2);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
}

TEST(Random, SampleSortedIsADistinctAscendingSubset) {
  for (const int64_t count : {0, 1, 31, 32, 33, 1000}) {
    Random random(3);
    const auto sample = random.sample_sorted(1000, count);
    ASSERT_EQ(sample.size(), static_cast<size_t>(count));
    EXPECT_TRUE(std::is_sorted(sample.begin(), sample.end()));
    EXPECT_EQ(std::adjacent_find(sample.begin(), sample.end()), sample.end());
    if (count > 0) {
      EXPECT_LT(sample.back(), 1000);
    }
  }
  EXPECT_THROW(Random(0).sample_sorted(3, 4), std::logic_error);
}

TEST(Random, ShuffleIsAPermutationAndDeterministic) {
  std::vector<int> a(100), b(100);
  std::iota(a.begin(), a.end(), 0);
  b = a;
  Random(5).shuffle(a);
  Random(5).shuffle(b);
  EXPECT_EQ(a, b);
  EXPECT_FALSE(std::is_sorted(a.begin(), a.end()));
  std::sort(a.begin(), a.end());
  EXPECT_EQ(a.front(), 0);
  EXPECT_EQ(a.back(), 99);
}

}  // namespace
}  // namespace foregate
