#include "stats/evaluation/metric_sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/random.h"

namespace foregate::stats {
namespace {

using ::testing::ElementsAre;

using Scores = std::vector<float>;
using Experts = std::vector<uint16_t>;

// Where sums are, as metric_keys() orders them: three for each budget, and top-1 at the end.
constexpr size_t kRecall = 0;
constexpr size_t kGateMass = 2;
constexpr size_t kRecallOfSecond = 3;

TEST(MetricSumsTest, HandComputed) {
  MetricSums sums(4, 2, {1, 2, 3});
  // Ranked 2, 0, 1, 3; truth 0 (weight 3) and 1 (weight 1).
  sums.add(Scores{0.5f, 0.1f, 0.9f, -1.0f}, Experts{0, 1}, Scores{3, 1});
  EXPECT_EQ(sums.decisions(), 1);
  EXPECT_THAT(sums.ranks(), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(sums.sums(), ElementsAre(0, 0, 0,       // recall@1, exact-set@1, gate-mass@1
                                       0.5, 0, 0.75,  // the same at 2
                                       1, 1, 1,       // at 3
                                       0));           // top-1
}

TEST(MetricSumsTest, SumsOverDecisionsUntilReset) {
  MetricSums sums(3, 1, {1});
  sums.add(Scores{1, 0, 0}, Experts{0}, {});
  sums.add(Scores{1, 0, 0}, Experts{2}, {});
  sums.add(Scores{0, 0, 1}, Experts{2}, {});
  EXPECT_EQ(sums.decisions(), 3);
  EXPECT_EQ(sums.sums()[kRecall], 2);
  EXPECT_EQ(sums.sums().back(), 2);
  EXPECT_EQ(sums.sums()[kGateMass], 0);  // no weights, no mass
  sums.reset();
  EXPECT_EQ(sums.decisions(), 0);
  EXPECT_EQ(sums.sums()[kRecall], 0);
}

TEST(MetricSumsTest, TiesGoToTheLowestIndex) {
  MetricSums sums(5, 2, {2});
  sums.add(Scores(5, 0.25f), Experts{0, 1}, {});
  EXPECT_EQ(sums.sums()[kRecall], 1);
  EXPECT_EQ(sums.sums().back(), 1);
  sums.add(Scores(5, 0.25f), Experts{3, 4}, {});
  EXPECT_EQ(sums.sums()[kRecall], 1);
}

TEST(MetricSumsTest, AgreesWithSorting) {
  Random random(11);
  for (const int num_experts : {8, 31, 60, 256}) {
    const int top_k = 1 + static_cast<int>(random.below(6));
    MetricSums sums(num_experts, top_k, {top_k, 8});
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
      sums.add(scores, experts, {});
      top1 += ranked[0].second == experts[0] ? 1 : 0;
      for (size_t b = 0; b < 2; ++b) {
        for (int i = 0; i < (b == 0 ? top_k : 8); ++i) {
          const auto expert = static_cast<uint16_t>(ranked[static_cast<size_t>(i)].second);
          recall[b] +=
              static_cast<double>(std::count(experts.begin(), experts.end(), expert)) / top_k;
        }
      }
    }
    EXPECT_NEAR(sums.sums()[kRecall], recall[0], 1e-9);
    EXPECT_NEAR(sums.sums()[kRecallOfSecond], recall[1], 1e-9);
    EXPECT_EQ(sums.sums().back(), top1);
  }
}

TEST(MetricSumsTest, SizesMustFit) {
  MetricSums sums(3, 1, {1});
  EXPECT_THROW(sums.add(Scores{1, 2}, Experts{0}, {}), std::logic_error);
  EXPECT_THROW(sums.add(Scores{1, 2, 3}, Experts{0, 1}, {}), std::logic_error);
}

TEST(MetricSumsTest, InfinityIsAScoreAndNanIsABug) {
  const float infinity = std::numeric_limits<float>::infinity();
  MetricSums sums(3, 1, {1});
  sums.add(Scores{-infinity, 0, infinity}, Experts{2}, {});
  EXPECT_EQ(sums.sums().back(), 1);
  EXPECT_THROW(sums.add(Scores{0, std::nanf(""), 0}, Experts{0}, {}), std::logic_error);
}

TEST(MetricSumsTest, BudgetsMustAscendWithinTheExperts) {
  EXPECT_THROW(MetricSums(4, 2, {}), std::logic_error);
  EXPECT_THROW(MetricSums(4, 2, {0}), std::logic_error);
  EXPECT_THROW(MetricSums(4, 2, {3, 2}), std::logic_error);
  EXPECT_THROW(MetricSums(4, 2, {5}), std::logic_error);
  EXPECT_NO_THROW(MetricSums(4, 2, {4}));
}

}  // namespace
}  // namespace foregate::stats
