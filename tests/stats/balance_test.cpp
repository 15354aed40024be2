#include "stats/balance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace foregate::stats {
namespace {

using Counts = std::vector<int64_t>;

TEST(BalanceTest, EvenUsage) {
  const Counts counts(60, 7);
  EXPECT_NEAR(normalized_entropy(counts), 1, 1e-12);
  EXPECT_NEAR(busiest_share(counts), 1.0 / 60, 1e-12);
  EXPECT_NEAR(coefficient_of_variation(counts), 0, 1e-12);
  EXPECT_NEAR(chance_overlap(counts, 4), 4.0 / 60, 1e-12);
}

TEST(BalanceTest, HandComputed) {
  const Counts counts = {2, 1, 1, 0};  // H = 1.5 bits of 2; deviations 1, 0, 0, -1
  EXPECT_NEAR(normalized_entropy(counts), 0.75, 1e-12);
  EXPECT_NEAR(busiest_share(counts), 0.5, 1e-12);
  EXPECT_NEAR(coefficient_of_variation(counts), std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(chance_overlap(counts, 2), 2 * (0.25 + 0.0625 + 0.0625), 1e-12);
}

TEST(BalanceTest, OneExpertTakesEverything) {
  EXPECT_EQ(normalized_entropy(Counts{0, 9, 0}), 0);
  EXPECT_EQ(busiest_share(Counts{0, 9, 0}), 1);
  EXPECT_EQ(normalized_entropy(Counts{5}), 0);
  EXPECT_EQ(chance_overlap(Counts{0, 9, 0}, 1), 1);
}

TEST(BalanceTest, NothingCountedIsNotANumber) {
  const Counts none(3, 0);
  EXPECT_TRUE(std::isnan(normalized_entropy(none)));
  EXPECT_TRUE(std::isnan(busiest_share(none)));
  EXPECT_TRUE(std::isnan(coefficient_of_variation(none)));
  EXPECT_TRUE(std::isnan(chance_overlap(none, 2)));
  EXPECT_TRUE(std::isnan(jensen_shannon(none, Counts{1, 2, 3})));
  EXPECT_TRUE(std::isnan(jensen_shannon(Counts{1, 2, 3}, none)));
}

TEST(BalanceTest, JensenShannon) {
  EXPECT_EQ(jensen_shannon(Counts{1, 2, 3}, Counts{10, 20, 30}), 0);
  EXPECT_NEAR(jensen_shannon(Counts{5, 0}, Counts{0, 1}), 1, 1e-12);
  // P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4).
  const double expected =
      0.5 * std::log2(4.0 / 3) + 0.5 * (0.5 * std::log2(2.0 / 3) + 0.5 * std::log2(2.0));
  EXPECT_NEAR(jensen_shannon(Counts{4, 0}, Counts{3, 3}), expected, 1e-12);
  EXPECT_NEAR(jensen_shannon(Counts{3, 3}, Counts{4, 0}), expected, 1e-12);
}

TEST(BalanceTest, GiniAndLorenz) {
  EXPECT_DOUBLE_EQ(gini(Counts{5, 5, 5, 5}), 0);
  EXPECT_DOUBLE_EQ(gini(Counts{0, 0, 8, 0}), 0.75);  // (E - 1) / E
  EXPECT_DOUBLE_EQ(gini(Counts{3, 1}), 0.25);        // half the mean difference over the mean
  EXPECT_EQ(lorenz_curve(Counts{3, 1, 0}), (std::vector<double>{0, 0, 0.25, 1}));
  EXPECT_TRUE(std::isnan(gini(Counts{0, 0})));
  EXPECT_TRUE(lorenz_curve(Counts{0, 0}).empty());
}

}  // namespace
}  // namespace foregate::stats
