#include "stats/bootstrap.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace foregate::stats {
namespace {

TEST(BootstrapTest, MeanIsTheRatioOfSums) {
  const std::vector<double> numerators = {1, 9};
  const std::vector<double> denominators = {10, 10};
  const Interval interval = bootstrap_ratio(numerators, denominators);
  EXPECT_DOUBLE_EQ(interval.mean, 0.5);
  EXPECT_DOUBLE_EQ(interval.low, 0.1);  // both draws the first text: a quarter of resamples
  EXPECT_DOUBLE_EQ(interval.high, 0.9);
}

TEST(BootstrapTest, ASingleTextOrNoneGivesItsMean) {
  const std::vector<double> three = {3};
  const std::vector<double> four = {4};
  const Interval interval = bootstrap_ratio(three, four);
  EXPECT_DOUBLE_EQ(interval.low, 0.75);
  EXPECT_DOUBLE_EQ(interval.high, 0.75);
  EXPECT_EQ(bootstrap_ratio({}, {}).mean, 0);
}

TEST(BootstrapTest, SeveralNumeratorsHaveEachItsOwnInterval) {
  const std::vector<std::vector<double>> texts = {{1, 4}, {5, 0}, {2, 2}, {7, 3}};
  const std::vector<double> denominators = {8, 8, 9, 8};
  const std::vector<Interval> both = bootstrap_ratios(texts, denominators, 200, 5);
  ASSERT_EQ(both.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    std::vector<double> numerators;
    for (const auto& text : texts) numerators.push_back(text[i]);
    const Interval alone = bootstrap_ratio(numerators, denominators, 200, 5);
    EXPECT_EQ(both[i].mean, alone.mean);
    EXPECT_EQ(both[i].low, alone.low);
    EXPECT_EQ(both[i].high, alone.high);
    EXPECT_LT(both[i].low, both[i].high);
  }
  EXPECT_TRUE(bootstrap_ratios({}, {}).empty());
}

TEST(BootstrapTest, SameSeedSameInterval) {
  const std::vector<double> numerators = {1, 5, 2, 7, 3};
  const std::vector<double> denominators = {8, 8, 9, 8, 5};
  const Interval a = bootstrap_ratio(numerators, denominators, 200, 5);
  const Interval b = bootstrap_ratio(numerators, denominators, 200, 5);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_LE(a.low, a.mean);
  EXPECT_GE(a.high, a.mean);
}

TEST(BootstrapTest, CoversTheTrueRateAboutAsOftenAsItSays) {
  int covered = 0;
  constexpr int kTrials = 200;
  for (int trial = 0; trial < kTrials; ++trial) {
    Random random(static_cast<uint64_t>(1000 + trial));
    std::vector<double> numerators;
    std::vector<double> denominators(60, 20);
    for (int text = 0; text < 60; ++text) {
      int hits = 0;
      for (int decision = 0; decision < 20; ++decision) hits += random.uniform() < 0.3 ? 1 : 0;
      numerators.push_back(hits);
    }
    const Interval interval = bootstrap_ratio(numerators, denominators, 400);
    covered += interval.low <= 0.3 && 0.3 <= interval.high ? 1 : 0;
  }
  EXPECT_GE(covered, kTrials * 88 / 100);
  EXPECT_LE(covered, kTrials * 99 / 100);
}

}  // namespace
}  // namespace foregate::stats
