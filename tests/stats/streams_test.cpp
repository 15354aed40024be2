// The accumulators on hand-computed traces: 2 layers, 4 experts, top-2 unless said otherwise.
#include <gtest/gtest.h>

#include <cmath>

#include "stats/gate_mass.h"
#include "stats/token_overlap.h"
#include "stats/transitions.h"
#include "stats/usage.h"
#include "support/random_trace.h"

namespace foregate::stats {
namespace {

// token 0: {0,1} then {2,3}; token 1: {1,2} then {3,2}; token 2: {0,3} then {0,3}
trace::Trace hand_trace(const trace::Geometry& geometry) {
  return trace_of(geometry, "d", {0, 1, 2, 3, 1, 2, 3, 2, 0, 3, 0, 3});
}

std::vector<int64_t> layer_of(const UsageCounts& usage, int layer) {
  const auto counts = usage.layer(layer);
  return {counts.begin(), counts.end()};
}

TEST(StreamsTest, Usage) {
  const trace::Geometry geometry = small_geometry(2, 4, 2);
  UsageCounts usage(geometry);
  EXPECT_TRUE(std::isnan(usage.share(0, 0)));
  usage.add(hand_trace(geometry));
  EXPECT_EQ(usage.tokens(), 3);
  EXPECT_EQ(layer_of(usage, 0), (std::vector<int64_t>{2, 2, 1, 1}));
  EXPECT_EQ(layer_of(usage, 1), (std::vector<int64_t>{1, 0, 2, 3}));
  EXPECT_DOUBLE_EQ(usage.share(1, 3), 0.5);
}

TEST(StreamsTest, GateMass) {
  const trace::Geometry geometry = small_geometry(2, 4, 2);
  GateMass gates(geometry);
  gates.add(hand_trace(geometry));
  EXPECT_DOUBLE_EQ(gates.mass(0, 0), 1.0);   // first twice
  EXPECT_DOUBLE_EQ(gates.mass(0, 1), 0.75);  // second, first
  EXPECT_DOUBLE_EQ(gates.mass(1, 3), 1.0);   // second, first, second
  EXPECT_DOUBLE_EQ(gates.share(0, 0), 1.0 / 2.25);
  EXPECT_DOUBLE_EQ(gates.mean_of_rank(1, 1), 0.25);
}

TEST(StreamsTest, TracesWithoutGateWeightsHaveNoMass) {
  const trace::Geometry geometry = small_geometry(2, 4, 2);
  GateMass gates(geometry);
  trace::Trace trace = hand_trace(geometry);
  trace.gate_weights.clear();
  gates.add(trace);
  EXPECT_EQ(gates.tokens(), 0);
  EXPECT_TRUE(std::isnan(gates.share(0, 0)));
  EXPECT_TRUE(std::isnan(gates.mean_of_rank(0, 0)));
}

TEST(StreamsTest, Transitions) {
  const trace::Geometry geometry = small_geometry(2, 4, 2);
  TransitionCounts transitions(geometry);
  transitions.add(hand_trace(geometry));
  EXPECT_EQ(transitions.num_pairs(), 1);
  EXPECT_EQ(transitions.count(0, 1, 2), 2);  // tokens 0 and 1
  EXPECT_EQ(transitions.count(0, 0, 0), 1);
  EXPECT_EQ(transitions.count(0, 2, 0), 0);
  EXPECT_EQ(transitions.from_count(0, 0), 2);
  EXPECT_EQ(transitions.to_count(0, 3), 3);
  EXPECT_DOUBLE_EQ(transitions.probability(0, 0, 3), 1);
  EXPECT_DOUBLE_EQ(transitions.probability(0, 0, 2), 0.5);
  EXPECT_DOUBLE_EQ(transitions.lift(0, 0, 2), 0.5 / (2.0 / 3));
  EXPECT_TRUE(std::isnan(transitions.lift(0, 0, 1)));  // expert 1 never at layer 1
}

TEST(StreamsTest, TransitionsNeedTwoLayersAndAFewExperts) {
  const trace::Geometry one_layer = small_geometry(1, 4, 2);
  TransitionCounts transitions(one_layer);
  transitions.add(trace_of(one_layer, "d", {0, 1, 2, 3}));
  EXPECT_EQ(transitions.num_pairs(), 0);
  EXPECT_EQ(TransitionCounts(small_geometry(3, 513, 2)).num_pairs(), 0);
  EXPECT_EQ(TransitionCounts(small_geometry(3, 512, 2)).num_pairs(), 2);
}

TEST(StreamsTest, Overlap) {
  const trace::Geometry geometry = small_geometry(2, 4, 2);
  TokenOverlap overlap(geometry);
  // One token has no neighbours.
  overlap.add(RoutingView(geometry, trace_of(geometry, "d", {0, 1, 2, 3})));
  EXPECT_EQ(overlap.pairs(), 0);
  EXPECT_TRUE(std::isnan(overlap.share(0)));
  overlap.add(RoutingView(geometry, hand_trace(geometry)));
  EXPECT_EQ(overlap.pairs(), 2);
  EXPECT_DOUBLE_EQ(overlap.share(0), 1.0 / 4);     // {0,1}{1,2} share 1; {1,2}{0,3} none
  EXPECT_EQ(overlap.pairs(1), 1);                  // tokens 0 and 2
  EXPECT_DOUBLE_EQ(overlap.share(0, 1), 1.0 / 2);  // {0,1}{0,3}
  EXPECT_TRUE(std::isnan(overlap.share(0, 2)));
  EXPECT_DOUBLE_EQ(overlap.share(1), 3.0 / 4);  // {2,3}{3,2} share 2; {3,2}{0,3} one
}

TEST(StreamsTest, EmptyTextsAddNothing) {
  const trace::Geometry geometry = small_geometry(2, 4, 2);
  UsageCounts usage(geometry);
  TokenOverlap overlap(geometry);
  usage.add(trace::Trace());
  overlap.add(RoutingView(geometry, trace::Trace()));
  EXPECT_EQ(usage.tokens(), 0);
  EXPECT_EQ(overlap.pairs(), 0);
}

}  // namespace
}  // namespace foregate::stats
