// What is counted after paths through the layers, and what the scoring core makes of it, worked out
// by hand.
#include "scoring/counting/path_table.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "base/error.h"
#include "predict/counting/path_counts.h"
#include "predict/counting/routing_counts.h"
#include "predict/counting/tensor_weights.h"

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
  const TensorWeights weights(count_paths(five_decisions(), geometry, 1), "t");
  const scoring::PathTable table(weights, geometry, scoring::Lead::layer(1),
                                 RoutingCounts::kWindow);
  ASSERT_EQ(table.paths().num_paths(), RoutingCounts::kWindow + 2);
  // At layer 2, of a token that chose `latest` at layer 1 and `earlier` at layer 0.
  const auto evidence_of = [&](int16_t latest, int16_t earlier) {
    const std::vector<int64_t> pairs = {table.paths().pair(&latest), table.paths().pair(&earlier)};
    const std::vector<float> frequency = {0.5F, 0.5F};
    torch::Tensor evidence = torch::full({10, 2}, 7.0F);
    table.evidence(2, pairs, frequency.data(), evidence.mutable_data_ptr<float>());
    return evidence;
  };
  const torch::Tensor evidence = evidence_of(0, 0);
  // Expert 0 at layer 1: five tokens, of which three chose 0 and two chose 1.
  expect_row(evidence[0], std::log(1 + 3 / 2.0), std::log(1 + 2 / 2.0));
  // Expert 0 at layer 0: both chose 0.
  expect_row(evidence[1], std::log(1 + 2 / 2.0), 0);
  // Both: the same two tokens, but 5/9 was expected of expert 0 already.
  expect_row(evidence[8], std::log(1 + 2 / (4 * 5.0 / 9)), 0);
  EXPECT_EQ(evidence.slice(0, 2, 8).abs().sum().item<double>(), 0);
  EXPECT_EQ(evidence[9].abs().sum().item<double>(), 0);  // there are no three layers
  // Expert 1 at layer 1 was never seen; the path from layer 0 says the same as before.
  const torch::Tensor other = evidence_of(1, 0);
  expect_row(other[0], 0, 0);
  expect_row(other[1], std::log(1 + 2 / 2.0), 0);
  expect_row(other[8], 0, 0);
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
    const TensorWeights weights(changed, "t");
    EXPECT_THROW(scoring::PathTable(weights, geometry, scoring::Lead::layer(1), 8), DataError)
        << name;
  };
  refuses("path_begin", whole.at("path_begin").flip(0));
  refuses("path_begin", whole.at("path_begin") + 1);
  refuses("path_experts", whole.at("path_experts") + 1);
  refuses("path_counts", whole.at("path_counts") - 9);
  refuses("path_counts", whole.at("path_counts").slice(0, 1));
}

}  // namespace
}  // namespace foregate::predict
