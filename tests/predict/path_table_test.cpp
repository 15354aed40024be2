// Paths through the layers: their numbers, and what is counted after them, worked out by hand.
#include "predict/counting/path_table.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "predict/counting/routing_counts.h"

namespace foregate::predict {
namespace {

trace::Geometry geometry_of(int layers, int experts, int top_k) {
  trace::Geometry geometry;
  geometry.num_moe_layers = layers;
  geometry.num_experts = experts;
  geometry.top_k = top_k;
  for (int l = 0; l < layers; ++l) geometry.moe_layers.push_back(l);
  return geometry;
}

TEST(PathIds, NumbersPathsOfOneToThreeLayers) {
  // W = 4, layer-2: known are l-2, l-3, l-4. S = 4 * 5^2 + 5^4 + 5^6.
  const scoring::PathIds paths(geometry_of(9, 5, 2), 2, 4);
  constexpr int64_t kSpan = 100 + 625 + 15625;
  ASSERT_EQ(paths.num_singles(), 3);
  ASSERT_EQ(paths.num_paths(), 5);
  EXPECT_EQ(paths.pair(std::array<int64_t, 2>{3, 1}.data()), 16);
  std::array<int64_t, 5> ids{};
  paths.number(6, std::array<int64_t, 3>{7, 24, 11}, ids);
  EXPECT_EQ(ids, (std::array<int64_t, 5>{6 * kSpan + 25 + 7, 6 * kSpan + 50 + 24,
                                         6 * kSpan + 75 + 11, 6 * kSpan + 100 + 7 * 25 + 24,
                                         6 * kSpan + 725 + (7 * 25 + 24) * 25 + 11}));
  // At layer 3 layers 1 and 0 are known.
  paths.number(3, std::array<int64_t, 2>{7, 24}, ids);
  EXPECT_EQ(ids, (std::array<int64_t, 5>{3 * kSpan + 25 + 7, 3 * kSpan + 50 + 24, -1,
                                         3 * kSpan + 100 + 7 * 25 + 24, -1}));
}

TEST(PathIds, OfTopOneModelsTheFirstChoiceCountsAsBoth) {
  EXPECT_EQ(scoring::PathIds(geometry_of(2, 5, 1), 1, 8).pair(std::array<int64_t, 1>{3}.data()),
            18);
}

TEST(PathIds, LeavesOutPathsThatWouldNotFitANumber) {
  EXPECT_EQ(scoring::PathIds(geometry_of(94, 512, 8), 1, 8).num_paths(), 10);
  EXPECT_EQ(scoring::PathIds(geometry_of(94, 2048, 8), 1, 8).num_paths(), 9);
  EXPECT_EQ(scoring::PathIds(geometry_of(94, 65535, 8), 1, 8).num_paths(), 8);
  EXPECT_EQ(scoring::PathIds(geometry_of(94, 8, 2), 9, 8).num_paths(),
            0);  // looks back no further
}

// Three layers of two experts, top-1: what tokens chose at layers 0, 1 and 2.
torch::Tensor five_decisions() {
  return torch::tensor({0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0}, torch::kInt16)
      .view({5, 3, 1});
}

void expect_row(const torch::Tensor& row, double first, double second) {
  EXPECT_NEAR(row[0].item<double>(), first, 1e-6);
  EXPECT_NEAR(row[1].item<double>(), second, 1e-6);
}

TEST(PathTable, KnowsWhatFollowsSeveralLayers) {
  const trace::Geometry geometry = geometry_of(3, 2, 1);
  const PathTable table(count_paths(five_decisions(), geometry, 1), geometry,
                        scoring::Lead::layer(1), "t");
  ASSERT_EQ(table.num_paths(), RoutingCounts::kWindow + 2);
  const torch::Tensor tokens = torch::tensor({0, 0, 0, 0, 1, 0}, torch::kInt64).view({2, 3, 1});
  const torch::Tensor evidence = table.evidence(tokens, torch::tensor({0.5F, 0.5F}), 2);
  ASSERT_EQ(evidence.sizes(), at::IntArrayRef({10, 2, 2}));
  // Expert 0 at layer 1: five tokens, of which three chose 0 and two chose 1.
  expect_row(evidence[0][0], std::log(1 + 3 / 2.0), std::log(1 + 2 / 2.0));
  // Expert 0 at layer 0: both chose 0.
  expect_row(evidence[1][0], std::log(1 + 2 / 2.0), 0);
  // Both: the same two tokens, but 5/9 was expected of expert 0 already.
  expect_row(evidence[8][0], std::log(1 + 2 / (4 * 5.0 / 9)), 0);
  EXPECT_EQ(evidence.slice(0, 2, 8).abs().sum().item<double>(), 0);
  EXPECT_EQ(evidence[9].abs().sum().item<double>(), 0);  // there are no three layers
  // Expert 1 at layer 1 was never seen; the path from layer 0 says the same as before.
  expect_row(evidence[0][1], 0, 0);
  expect_row(evidence[1][1], std::log(1 + 2 / 2.0), 0);
  expect_row(evidence[8][1], 0, 0);
}

TEST(PathTable, KeepsWhatWasSeenTwiceAndTheMostFrequent) {
  const trace::Geometry geometry = geometry_of(3, 2, 1);
  // Layer 1: 0 and 1 at layer 0. Layer 2: 0 at layer 1; 0 and 1 at layer 0; both ways through both.
  EXPECT_EQ(count_paths(five_decisions(), geometry, 1).at("path_ids").size(0), 2 + 1 + 2 + 2);
  const NamedTensors one_a_layer = count_paths(five_decisions(), geometry, 1, 2);
  const int64_t span = 8 * 4 + 16 + 64;
  EXPECT_TRUE(one_a_layer.at("path_ids").equal(torch::tensor({span + 3, 2 * span}, torch::kInt64)))
      << one_a_layer.at("path_ids");
  EXPECT_TRUE(one_a_layer.at("path_experts").equal(torch::tensor({0, 0, 1}, torch::kInt16)));
  EXPECT_TRUE(one_a_layer.at("path_counts").equal(torch::tensor({3, 3, 2}, torch::kInt32)));
  EXPECT_EQ(count_paths(five_decisions().slice(0, 1, 3), geometry, 1).at("path_ids").size(0), 1);
  EXPECT_EQ(count_paths(five_decisions().slice(0, 0, 0), geometry, 1).at("path_ids").size(0), 0);
}

TEST(PathTable, RefusesTensorsThatDoNotFit) {
  const trace::Geometry geometry = geometry_of(3, 2, 1);
  const NamedTensors whole = count_paths(five_decisions(), geometry, 1);
  const auto refuses = [&](const char* name, const torch::Tensor& tensor) {
    NamedTensors changed = whole;
    changed[name] = tensor;
    EXPECT_THROW(PathTable(changed, geometry, scoring::Lead::layer(1), "t"), DataError) << name;
  };
  refuses("path_begin", whole.at("path_begin").flip(0));
  refuses("path_begin", whole.at("path_begin") + 1);
  refuses("path_experts", whole.at("path_experts") + 1);
  refuses("path_counts", whole.at("path_counts") - 9);
  refuses("path_counts", whole.at("path_counts").slice(0, 1));
}

}  // namespace
}  // namespace foregate::predict
