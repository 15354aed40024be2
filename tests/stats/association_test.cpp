// What goes with what: layers, experts, datasets, tokens.
#include <gtest/gtest.h>

#include <cmath>

#include "stats/clustered_usage.h"
#include "stats/clustering.h"
#include "stats/coactivation.h"
#include "stats/layer_information.h"
#include "stats/log_odds.h"
#include "stats/token_affinity.h"
#include "stats/trace_agreement.h"
#include "support/random_trace.h"

namespace foregate::stats {
namespace {

TEST(LayerInformationTest, CopiesTellAllAndIndependentLayersNothing) {
  const trace::Geometry g = small_geometry(3, 4, 1);
  LayerInformation information(g);
  // Layer 1 copies layer 0; layer 2 goes through all experts for each of layer 0's.
  std::vector<uint16_t> experts;
  for (uint16_t first = 0; first < 4; ++first) {
    for (uint16_t third = 0; third < 4; ++third)
      experts.insert(experts.end(), {first, first, third});
  }
  information.add(RoutingView(g, trace_of(g, "d", experts)));
  EXPECT_EQ(information.layers(), (std::vector<int>{0, 1, 2}));
  EXPECT_DOUBLE_EQ(information.bits(0, 1), 2);
  EXPECT_DOUBLE_EQ(information.bits(1, 0), 2);
  EXPECT_DOUBLE_EQ(information.bits(0, 2), 0);
}

TEST(LayerInformationTest, ManyExpertsCountASpreadOfTheLayers) {
  const std::vector<int> layers = LayerInformation(small_geometry(58, 256, 8)).layers();
  EXPECT_LE(layers.size() * (layers.size() - 1) / 2 * 256 * 256, LayerInformation::kMaxCells);
  EXPECT_GT(layers.size(), 20u);
  EXPECT_EQ(layers.front(), 0);
  EXPECT_EQ(layers.back(), 57);
  EXPECT_TRUE(LayerInformation(small_geometry(1, 4, 1)).layers().empty());
}

TEST(CoactivationTest, LiftAndCorrelation) {
  const trace::Geometry g = small_geometry(1, 4, 2);
  Coactivation together(g);
  together.add(RoutingView(g, trace_of(g, "d", {0, 1, 1, 0, 2, 3, 0, 2})));
  EXPECT_EQ(together.count(0, 0, 1), 2);
  EXPECT_EQ(together.count(0, 1, 0), 2);
  EXPECT_EQ(together.count(0, 0, 0), 3);
  EXPECT_DOUBLE_EQ(together.lift(0, 0, 1), 2.0 * 4 / (3 * 2));
  // (n n_ab - n_a n_b) / sqrt(n_a (n - n_a) n_b (n - n_b))
  EXPECT_DOUBLE_EQ(together.correlation(0, 0, 1), (8.0 - 6) / std::sqrt(3.0 * 1 * 2 * 2));
  EXPECT_DOUBLE_EQ(together.correlation(0, 0, 3), -1);  // always one of the two
  EXPECT_FALSE(Coactivation(small_geometry(1, 513, 2)).counted());
}

TEST(ClusteringTest, AverageLinkage) {
  // Points 0, 1, 5, 7 on a line.
  const std::vector<double> at = {0, 5, 1, 7};
  std::vector<double> distances;
  for (const double a : at) {
    for (const double b : at) distances.push_back(std::abs(a - b));
  }
  const std::vector<Merge> merges = average_linkage(distances, 4);
  ASSERT_EQ(merges.size(), 3u);
  EXPECT_EQ(merges[0].first, 0);
  EXPECT_EQ(merges[0].second, 2);
  EXPECT_DOUBLE_EQ(merges[0].height, 1);
  EXPECT_DOUBLE_EQ(merges[1].height, 2);
  EXPECT_EQ(merges[2].first, 4);
  EXPECT_EQ(merges[2].second, 5);
  EXPECT_DOUBLE_EQ(merges[2].height, (5.0 + 7 + 4 + 6) / 4);
  EXPECT_EQ(leaf_order(merges, 4), (std::vector<int>{0, 2, 1, 3}));
  EXPECT_EQ(leaf_order(average_linkage({0}, 1), 1), std::vector<int>{0});
  EXPECT_TRUE(leaf_order({}, 0).empty());
}

TEST(ClusteredUsageTest, VarianceOverTexts) {
  const trace::Geometry g = small_geometry(1, 2, 1);
  ClusteredUsage usage(g);
  // x of n for expert 0: 4 of 4, 0 of 2, 0 of 2.
  usage.add(trace_of(g, "a", {0, 0, 0, 0}));
  usage.add(trace_of(g, "b", {1, 1}));
  usage.add(trace_of(g, "b", {1, 1}));
  const Share share = usage.share(0, 0);
  EXPECT_EQ(share.chosen, 4);
  EXPECT_EQ(share.tokens, 8);
  // m / (m - 1) * sum of (x - p n)^2 / N^2 with p = 1/2: residuals 2, -1, -1.
  EXPECT_DOUBLE_EQ(share.variance, 1.5 * 6 / 64);
  ClusteredUsage part(g);
  part.add(trace_of(g, "a", {0, 0, 0, 0}));
  const Share rest = usage.without(part).share(0, 0);
  EXPECT_EQ(rest.chosen, 0);
  EXPECT_EQ(rest.tokens, 4);
  EXPECT_DOUBLE_EQ(rest.variance, 0.1 * 0.9 / 4);  // that of independent tokens, (0 + 1/2) / 5
}

TEST(LogOddsTest, DeltaMethod) {
  const LogOdds ratio = log_odds_ratio({9, 4.5, 0.01}, {19, 3.5, 0.02});
  EXPECT_DOUBLE_EQ(ratio.value, std::log(0.5 / 0.5) - std::log(0.2 / 0.8));
  const double error = std::sqrt(0.01 / std::pow(0.25, 2) + 0.02 / std::pow(0.16, 2));
  EXPECT_DOUBLE_EQ(ratio.error, error);
  EXPECT_DOUBLE_EQ(ratio.z, ratio.value / error);
  EXPECT_TRUE(std::isnan(log_odds_ratio({0, 0, 0}, {9, 4, 0.1}).value));
}

TEST(LogOddsTest, TwoSidedP) {
  const LogOdds ratio = log_odds_ratio({9, 4.5, 0.0625}, {1e9, 1.2e8, 0});
  EXPECT_NEAR(ratio.p, 2 * 0.5 * std::erfc(ratio.z / std::sqrt(2.0)), 1e-15);
  EXPECT_NEAR(ratio.z, std::log(0.88 / 0.12), 1e-6);
}

TEST(LogOddsTest, FalseDiscoveryRates) {
  const std::vector<double> rates = false_discovery_rates({0.01, 0.04, 0.03, 0.5});
  EXPECT_DOUBLE_EQ(rates[0], 0.04);
  EXPECT_DOUBLE_EQ(rates[1], 0.04 * 4 / 3);
  EXPECT_DOUBLE_EQ(rates[2], 0.04 * 4 / 3);  // 0.03 * 4 / 2 is more than the next one's
  EXPECT_DOUBLE_EQ(rates[3], 0.5);
  EXPECT_TRUE(false_discovery_rates({}).empty());
}

TEST(TokenAffinityTest, TypicalTokensOfAnExpert) {
  const trace::Geometry g = small_geometry(1, 3, 1);
  trace::Trace trace = trace_of(g, "d", {0, 0, 0, 1, 1, 1, 0, 2});
  trace.token_ids = {7, 7, 7, 7, 8, 8, 8, 9};
  TokenCounts counts;
  counts.add(trace);
  EXPECT_EQ(counts.most_frequent(2, 1), (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(counts.most_frequent(9, 3), (std::vector<int32_t>{7, 8}));
  TokenAffinity affinity(g, {7, 8});
  affinity.add(trace);
  const std::vector<TypicalToken> typical = affinity.typical(0, 0, 4, 8, 5);
  ASSERT_EQ(typical.size(), 1u);  // 8 has lift 2/3
  EXPECT_EQ(typical[0].id, 7);
  EXPECT_EQ(typical[0].chosen, 3);
  EXPECT_DOUBLE_EQ(typical[0].probability, 0.75);
  EXPECT_DOUBLE_EQ(typical[0].lift, 1.5);
  // observed 3 1 1 3, expected 2 2 2 2
  EXPECT_DOUBLE_EQ(typical[0].g2, 2 * (6 * std::log(1.5) + 2 * std::log(0.5)));
}

TEST(TraceAgreementTest, CommonExactAndFirst) {
  const trace::Geometry g = small_geometry(1, 4, 2);
  TraceAgreement agreement(g);
  agreement.add(trace_of(g, "d", {0, 1, 2, 3}), trace_of(g, "d", {1, 0, 2, 1}));
  EXPECT_DOUBLE_EQ(agreement.common(0).mean, 0.75);
  EXPECT_DOUBLE_EQ(agreement.common(0).low, 0.75);  // one text says nothing about others
  EXPECT_DOUBLE_EQ(agreement.exact(0), 0.5);
  EXPECT_DOUBLE_EQ(agreement.same_first(0), 0.5);
  EXPECT_EQ(agreement.positions(), (std::vector<int>{0, 1}));
  EXPECT_DOUBLE_EQ(agreement.common_at(0), 1);
  EXPECT_DOUBLE_EQ(agreement.common_at(1), 0.5);
  agreement.add(trace_of(g, "d", {0, 1, 2, 3}), trace_of(g, "d", {0, 1, 2, 3}));
  // 3 and 4 of 4: mean 7/8, residuals -1/2 and 1/2 over 4 tokens: error sqrt(2 / 2) / 4 / 2
  EXPECT_DOUBLE_EQ(agreement.common(0).low, 0.875 - 1.96 * std::sqrt(2 * 0.5) / 4 / 2);
  EXPECT_EQ(agreement.common(0).high, 1);
}

}  // namespace
}  // namespace foregate::stats
