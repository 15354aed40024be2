#include "stats/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/random.h"

namespace foregate::stats {
namespace {

using Scores = std::vector<float>;
using Experts = std::vector<uint16_t>;

TEST(MetricSumsTest, HandComputed) {
  MetricSums scorer(4, 2, {1, 2, 3});
  // Ranked 2, 0, 1, 3; truth 0 (weight 3) and 1 (weight 1).
  scorer.add(Scores{0.5f, 0.1f, 0.9f, -1.0f}, Experts{0, 1}, Scores{3, 1});
  const TextScore& score = scorer.score();
  EXPECT_EQ(score.decisions, 1);
  EXPECT_EQ(score.recall, (std::vector<double>{0, 0.5, 1}));
  EXPECT_EQ(score.exact_set, (std::vector<double>{0, 0, 1}));
  EXPECT_EQ(score.gate_mass, (std::vector<double>{0, 0.75, 1}));
  EXPECT_EQ(score.top1, 0);
}

TEST(MetricSumsTest, SumsOverDecisionsUntilReset) {
  MetricSums scorer(3, 1, {1});
  scorer.add(Scores{1, 0, 0}, Experts{0}, {});
  scorer.add(Scores{1, 0, 0}, Experts{2}, {});
  scorer.add(Scores{0, 0, 1}, Experts{2}, {});
  EXPECT_EQ(scorer.score().decisions, 3);
  EXPECT_EQ(scorer.score().recall[0], 2);
  EXPECT_EQ(scorer.score().top1, 2);
  EXPECT_EQ(scorer.score().gate_mass[0], 0);  // no weights, no mass
  scorer.reset();
  EXPECT_EQ(scorer.score().decisions, 0);
  EXPECT_EQ(scorer.score().recall[0], 0);
}

TEST(MetricSumsTest, TiesGoToTheLowestIndex) {
  MetricSums scorer(5, 2, {2});
  scorer.add(Scores(5, 0.25f), Experts{0, 1}, {});
  EXPECT_EQ(scorer.score().recall[0], 1);
  EXPECT_EQ(scorer.score().top1, 1);
  scorer.add(Scores(5, 0.25f), Experts{3, 4}, {});
  EXPECT_EQ(scorer.score().recall[0], 1);
}

TEST(MetricSumsTest, AgreesWithSorting) {
  Random random(11);
  for (const int num_experts : {8, 31, 60, 256}) {
    const int top_k = 1 + static_cast<int>(random.below(6));
    MetricSums scorer(num_experts, top_k, {top_k, 8});
    std::vector<double> recall(2, 0);
    double top1 = 0;
    for (int decision = 0; decision < 200; ++decision) {
      std::vector<std::pair<float, int>> ranked;  // (-score, expert): ties by lowest index
      Scores scores;
      for (int e = 0; e < num_experts; ++e) {
        scores.push_back(static_cast<float>(random.below(20)));  // few values, many ties
        ranked.emplace_back(-scores.back(), e);
      }
      std::sort(ranked.begin(), ranked.end());
      Experts experts;
      for (const int64_t e : random.sample_sorted(num_experts, top_k)) {
        experts.push_back(static_cast<uint16_t>(e));
      }
      random.shuffle(experts);
      scorer.add(scores, experts, {});
      top1 += ranked[0].second == experts[0] ? 1 : 0;
      for (size_t b = 0; b < 2; ++b) {
        for (int i = 0; i < (b == 0 ? top_k : 8); ++i) {
          const auto expert = static_cast<uint16_t>(ranked[static_cast<size_t>(i)].second);
          recall[b] +=
              static_cast<double>(std::count(experts.begin(), experts.end(), expert)) / top_k;
        }
      }
    }
    EXPECT_NEAR(scorer.score().recall[0], recall[0], 1e-9);
    EXPECT_NEAR(scorer.score().recall[1], recall[1], 1e-9);
    EXPECT_EQ(scorer.score().top1, top1);
  }
}

TEST(MetricSumsTest, SizesMustFit) {
  MetricSums scorer(3, 1, {1});
  EXPECT_THROW(scorer.add(Scores{1, 2}, Experts{0}, {}), std::logic_error);
  EXPECT_THROW(scorer.add(Scores{1, 2, 3}, Experts{0, 1}, {}), std::logic_error);
}

TEST(MetricSumsTest, InfinityIsAScoreAndNanIsABug) {
  const float infinity = std::numeric_limits<float>::infinity();
  MetricSums scorer(3, 1, {1});
  scorer.add(Scores{-infinity, 0, infinity}, Experts{2}, {});
  EXPECT_EQ(scorer.score().top1, 1);
  EXPECT_THROW(scorer.add(Scores{0, std::nanf(""), 0}, Experts{0}, {}), std::logic_error);
}

TEST(MetricSumsTest, BudgetsMustAscendWithinTheExperts) {
  EXPECT_THROW(MetricSums(4, 2, {}), std::logic_error);
  EXPECT_THROW(MetricSums(4, 2, {0}), std::logic_error);
  EXPECT_THROW(MetricSums(4, 2, {3, 2}), std::logic_error);
  EXPECT_THROW(MetricSums(4, 2, {5}), std::logic_error);
  EXPECT_NO_THROW(MetricSums(4, 2, {4}));
}

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
