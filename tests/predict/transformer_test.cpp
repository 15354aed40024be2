// Windows of tokens, and the sequence model on them.
#include "predict/neural/transformer.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "predict/neural/token_windows.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"
#include "support/synthetic_trace.h"

namespace foregate::predict {
namespace {

TEST(TokenWindows, AreLaidOutWithPadding) {
  const torch::Tensor ids = torch::tensor({7, 8, 9, 4}, torch::kInt64);
  const torch::Tensor experts = torch::tensor({0, 1, 2, 0}, torch::kInt16).view({4, 1, 1});
  const torch::Tensor gates = torch::tensor({.5, .25, .75, 1.}, torch::kFloat16).view({4, 1, 1});
  const WindowBatch batch = gather_windows({ids, experts, gates}, {{3, 1}, {0, 3}});
  EXPECT_EQ(batch.windows, 2);
  EXPECT_EQ(batch.longest, 3);
  const auto row = [](std::vector<int64_t> values) { return torch::tensor(values, torch::kInt64); };
  EXPECT_TRUE(batch.ids.equal(row({4, 7, 8, 9})));
  EXPECT_TRUE(batch.experts.flatten().equal(row({0, 0, 1, 2})));
  EXPECT_TRUE(batch.gate_weights.flatten().equal(torch::tensor({1.F, .5F, .25F, .75F})));
  EXPECT_TRUE(batch.places.equal(row({0, 0, 1, 2})));
  EXPECT_TRUE(batch.padded.equal(row({0, 4, 4, 1, 2, 3})));  // 4: no token
  EXPECT_TRUE(batch.flat.equal(row({0, 3, 4, 5})));
}

TEST(TokenWindows, IdsThatAreNotInTheTableStandBehindIt) {
  const torch::Tensor table = torch::tensor({2, 5, 9}, torch::kInt64);
  EXPECT_TRUE(indices_of(table, torch::tensor({9, 4, 2, 11}, torch::kInt64))
                  .equal(torch::tensor({2, 3, 0, 3}, torch::kInt64)));
  EXPECT_TRUE(indices_of(table.slice(0, 0, 0), torch::tensor({9}, torch::kInt64))
                  .equal(torch::tensor({0}, torch::kInt64)));
}

trace::Geometry small_geometry() {
  trace::Geometry geometry;
  geometry.num_moe_layers = 3;
  geometry.num_experts = 5;
  geometry.top_k = 2;
  return geometry;
}

RoutedText random_text(int64_t tokens) {
  RoutedText text;
  text.token_ids = torch::randint(4, {tokens}, torch::kInt64);
  text.experts = std::get<1>(torch::rand({tokens, 3, 5}).topk(2));
  return text;
}

/// With random weights in place of those that start at zero.
std::unique_ptr<Predictor> random_predictor(const scoring::Lead& lead, int64_t context) {
  const Json settings = {{"width", 8}, {"heads", 2}, {"context", context}, {"blocks", 2}};
  auto made = make_predictor("transformer", lead, small_geometry(), JsonReader(settings, "test"));
  auto& predictor = dynamic_cast<TransformerPredictor&>(*made);
  torch::manual_seed(1);
  NamedTensors weights = initial_values(predictor.parameters(4), 0);
  for (auto& [name, tensor] : weights) tensor = tensor + 0.3 * torch::randn_like(tensor);
  weights["ids"] = torch::arange(4, torch::kInt64);
  predictor.set_weights(weights, "test");
  return made;
}

TEST(Transformer, PaddingChangesNothing) {
  torch::manual_seed(0);
  const auto made = random_predictor(scoring::Lead::layer(1), 16);
  const auto& predictor = dynamic_cast<TransformerPredictor&>(*made);
  const RoutedText text = random_text(9);
  NamedTensors weights = predictor.weights();
  const WindowBatch both = gather_windows({text.token_ids, text.experts, {}}, {{0, 6}, {6, 3}});
  const WindowBatch second = gather_windows({text.token_ids, text.experts, {}}, {{6, 3}});
  const torch::Tensor together = predictor.logits(weights, both, torch::kFloat32);
  const torch::Tensor alone = predictor.logits(weights, second, torch::kFloat32);
  EXPECT_TRUE(together.slice(1, 6).allclose(alone, 1e-4, 1e-5));
}

TEST(Transformer, BeginsAtTheShareOfTheChosen) {
  torch::manual_seed(0);
  const RoutedText text = random_text(9);
  const WindowBatch batch = gather_windows({text.token_ids, text.experts, {}}, {{0, 9}});
  for (const scoring::Lead& lead : {scoring::Lead::next_token(), scoring::Lead::layer(1)}) {
    const auto made =
        make_predictor("transformer", lead, small_geometry(), JsonReader(Json::object(), "test"));
    auto& predictor = dynamic_cast<TransformerPredictor&>(*made);
    NamedTensors weights = initial_values(predictor.parameters(4), 0);
    weights["ids"] = torch::arange(4, torch::kInt64);
    predictor.set_weights(weights, "test");
    const torch::Tensor stated =
        predictor.logits(predictor.weights(), batch, torch::kFloat32).sigmoid();
    EXPECT_NEAR(stated.mean().item<double>(), 2.0 / 5, 0.05) << scoring::lead_name(lead);
  }
}

TEST(Transformer, LongTextsAreScoredInOverlappingWindows) {
  torch::manual_seed(0);
  const auto windowed = random_predictor(scoring::Lead::next_token(), 6);
  const RoutedText text = random_text(11);
  const torch::Tensor scores = windowed->score(text);
  ASSERT_EQ(scores.sizes(), at::IntArrayRef({11, 3, 5}));
  // Tokens 6 to 8 are seen from the window that begins at 3.
  RoutedText later = text;
  later.token_ids = text.token_ids.slice(0, 3);
  later.experts = text.experts.slice(0, 3);
  EXPECT_TRUE(scores.slice(0, 6, 9).allclose(windowed->score(later).slice(0, 3, 6), 1e-4, 1e-5));
  // Beyond a window the past is forgotten, within it is not.
  RoutedText changed = text;
  changed.experts = text.experts.clone();
  changed.experts[0] = (changed.experts[0] + 1).remainder(5);
  const torch::Tensor other = windowed->score(changed);
  EXPECT_FALSE(other[1].allclose(scores[1], 1e-4, 1e-5));
  EXPECT_TRUE(other.slice(0, 6).equal(scores.slice(0, 6)));
}

TEST(Transformer, RefusesAWidthThatTheHeadsDoNotDivide) {
  const Json settings = {{"width", 10}, {"heads", 4}};
  EXPECT_THROW(make_predictor("transformer", scoring::Lead::next_token(), small_geometry(),
                              JsonReader(settings, "test")),
               DataError);
}

}  // namespace
}  // namespace foregate::predict
