// Hidden states in, logits out.
#include "predict/neural/state_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <fstream>
#include <numeric>

#include "base/error.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/neural/state_predictor.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"
#include "tensor/device/device.h"
#include "tensor/files/safetensors.h"
#include "trace/features.h"

namespace foregate::predict {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using Features = TextSelection::Features;

class NormalizedStates : public ::testing::TestWithParam<torch::ScalarType> {};

TEST_P(NormalizedStates, AreWhatAtenMakesOfThem) {
  torch::manual_seed(0);
  for (const int64_t tokens : {0, 1, 200}) {
    for (const int64_t hidden : {1, 15, 16, 31, 32, 33, 256}) {
      const torch::Tensor states = (3 * torch::randn({tokens, 3, hidden})).to(GetParam());
      const torch::Tensor x = states.to(torch::kFloat32).slice(1, 0, 2).transpose(0, 1);
      const torch::Tensor expected = x * x.square().mean(-1, true).add(1e-6).rsqrt();
      const torch::Tensor found = normalized_states(states, 2);
      ASSERT_EQ(found.sizes(), expected.sizes());
      EXPECT_TRUE(found.allclose(expected, 1e-5, 1e-5)) << tokens << " x " << hidden;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, NormalizedStates,
                         ::testing::Values(torch::kFloat32, torch::kBFloat16, torch::kFloat16));

TextSelection with_features() {
  TextSelection selection;
  selection.features = Features::kRequire;
  return selection;
}

class Synthetic : public ::testing::Test {
 protected:
  Synthetic() { testing::write_synthetic_trace(directory_.path()); }
  TemporaryFolder directory_;
};

TEST_F(Synthetic, RowsGatherTheSplitsTokens) {
  const Corpus corpus(directory_.path());
  const scoring::Lead lead = scoring::Lead::layer(1);
  StateRows rows(corpus.geometry(), lead, {});
  rows.read(corpus, trace::Split::kValidation);
  std::vector<torch::Tensor> states;
  std::vector<torch::Tensor> experts;
  for (const RoutedText& text : testing::read_texts(
           corpus, {.split = trace::Split::kValidation, .features = Features::kRequire})) {
    states.push_back(normalized_states(text.router_inputs, 3));
    experts.push_back(text.experts.slice(1, 1).transpose(0, 1));
  }
  const torch::Tensor all_states = torch::cat(states, 1);
  ASSERT_EQ(rows.num_tokens(), all_states.size(1));
  const std::vector<int64_t> tokens = {rows.num_tokens() - 1, 0, 3, 3};
  StateRows::BatchIndices draw;
  rows.stage(tokens, draw);
  const StateRows::Batch batch = rows.gather(draw, torch::kFloat32);
  EXPECT_FALSE(batch.inputs.history.ids.defined());
  const torch::Tensor index = torch::tensor(tokens, torch::kInt64);
  EXPECT_TRUE(batch.inputs.states.equal(all_states.index_select(1, index)));
  EXPECT_TRUE(batch.truth.experts.equal(torch::cat(experts, 1).index_select(1, index)));
}

TEST_F(Synthetic, RowsKeepGateWeightsIfAsked) {
  const Corpus corpus(directory_.path());
  StateRows rows(corpus.geometry(), scoring::Lead::layer(1), {.gate_weights = true});
  rows.read(corpus, trace::Split::kTrain);
  std::vector<torch::Tensor> gates;
  const TextSelection selection{
      .split = trace::Split::kTrain, .features = Features::kRequire, .gate_weights = true};
  for (const RoutedText& text : testing::read_texts(corpus, selection)) {
    gates.push_back(text.gate_weights.slice(1, 1).transpose(0, 1));
  }
  const std::vector<int64_t> tokens = {rows.num_tokens() - 1, 0, 3};
  StateRows::BatchIndices draw;
  rows.stage(tokens, draw);
  const StateRows::Batch batch = rows.gather(draw, torch::kFloat32);
  EXPECT_TRUE(batch.truth.gate_weights.equal(
      torch::cat(gates, 1).index_select(1, torch::tensor(tokens, torch::kInt64))));
}

TEST_F(Synthetic, RowsOnAGpuAreTheSame) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  const Corpus corpus(directory_.path());
  StateRows here(corpus.geometry(), scoring::Lead::layer(1), {.history = true});
  StateRows there(corpus.geometry(), scoring::Lead::layer(1),
                  {.device = tensor::parse_device("cuda"), .history = true});
  for (StateRows* rows : {&here, &there}) rows->read(corpus, trace::Split::kTrain);
  EXPECT_TRUE(there.resident());
  const std::vector<int64_t> tokens = {here.num_tokens() - 1, 0, 3, 3};
  const auto batch = [&](const StateRows& rows, torch::ScalarType dtype) {
    StateRows::BatchIndices draw;
    rows.stage(tokens, draw);
    return rows.gather(draw, dtype);
  };
  const StateRows::Batch expected = batch(here, torch::kFloat32);
  const StateRows::Batch found = batch(there, torch::kFloat32);
  EXPECT_TRUE(found.inputs.states.cpu().allclose(expected.inputs.states, 1e-5, 1e-6));
  EXPECT_TRUE(found.inputs.history.ids.cpu().equal(expected.inputs.history.ids));
  EXPECT_TRUE(found.inputs.history.experts.cpu().equal(expected.inputs.history.experts));
  EXPECT_TRUE(found.truth.experts.cpu().equal(expected.truth.experts));
  const torch::Tensor rounded = batch(there, torch::kBFloat16).inputs.states;
  EXPECT_EQ(rounded.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(rounded.equal(found.inputs.states.to(torch::kBFloat16)));
}

TEST_F(Synthetic, RowsKnowTheTokensBefore) {
  const Corpus corpus(directory_.path());
  const scoring::Lead lead = scoring::Lead::layer(1);
  StateRows rows(corpus.geometry(), lead, {.history = true});
  rows.read(corpus, trace::Split::kTrain);
  std::vector<torch::Tensor> ids;
  std::vector<torch::Tensor> experts;
  for (const RoutedText& text : testing::read_texts(
           corpus, {.split = trace::Split::kTrain, .features = Features::kRequire})) {
    const TokenHistory history = inputs_of(text, lead, corpus.geometry(), true).history;
    ids.push_back(history.ids);
    experts.push_back(history.experts);
  }
  std::vector<int64_t> tokens(static_cast<size_t>(rows.num_tokens()));
  std::iota(tokens.begin(), tokens.end(), 0);
  StateRows::BatchIndices draw;
  rows.stage(tokens, draw);
  const StateRows::Batch batch = rows.gather(draw, torch::kFloat32);
  EXPECT_TRUE(batch.inputs.history.ids.equal(torch::cat(ids)));
  EXPECT_TRUE(batch.inputs.history.experts.equal(torch::cat(experts, 1)));
}

TEST(TokenHistory, EndsWhereTheTextBegins) {
  trace::Geometry geometry;
  geometry.num_experts = 3;
  geometry.vocab_size = 9;
  // Two texts of two and one tokens, one layer, top-1.
  const TokenRows rows{torch::tensor({4, 5, 6}, torch::kInt64),
                       torch::tensor({0, 1, 0}, torch::kInt64),
                       torch::tensor({2, 1, 0}, torch::kInt32).view({3, 1, 1})};
  const TokenHistory history = history_of(rows, torch::tensor({2, 1}, torch::kInt64), geometry);
  EXPECT_TRUE(history.ids.equal(torch::tensor({{6, 9, 9}, {5, 4, 9}}, torch::kInt64)));
  EXPECT_TRUE(history.experts[0][0].equal(torch::zeros({6})));
  EXPECT_TRUE(history.experts[0][1].equal(torch::tensor({0.F, 0.F, 1.F, 0.F, 0.F, 0.F})));
}

TEST_F(Synthetic, GateAdapterAndGateMlpStartAtNextGate) {
  const Corpus corpus(directory_.path());
  SharedCounts counts(corpus);
  const FitInputs inputs{corpus, counts, {}};
  for (const scoring::Lead& lead :
       {scoring::Lead::layer(1), scoring::Lead::layer(2), scoring::Lead::pre_attention()}) {
    const auto gate = make_predictor("next-gate", lead, corpus.geometry());
    gate->fit(inputs);
    for (const char* name : {"gate-adapter", "gate-mlp"}) {
      const auto made = make_predictor(name, lead, corpus.geometry());
      auto& adapter = dynamic_cast<StatePredictor&>(*made);
      adapter.set_weights(initial_values(adapter.parameters(), 0, &corpus), "start");
      for (const RoutedText& text : testing::read_texts(corpus, with_features())) {
        const torch::Tensor expected = gate->score(text);
        const double bias = name == std::string("gate-mlp") ? prior_logit(corpus.geometry()) : 0;
        const torch::Tensor found = adapter.score(text) - bias;
        EXPECT_TRUE(found.allclose(expected, 1e-5, 1e-5)) << name;
        EXPECT_TRUE(found.argsort(int64_t{-1}).equal(expected.argsort(int64_t{-1}))) << name;
      }
    }
  }
}

TEST_F(Synthetic, NextGateIsTheTargetsRouterOnTheEarlierInput) {
  const Corpus corpus(directory_.path());
  SharedCounts counts(corpus);
  const auto gate = make_predictor("next-gate", scoring::Lead::layer(1), corpus.geometry());
  gate->fit({corpus, counts, {}});
  const RoutedText text = testing::read_texts(corpus, with_features()).back();
  const torch::Tensor scores = gate->score(text);
  for (int64_t l = 1; l < 4; ++l) {
    const torch::Tensor logits =
        text.router_inputs.select(1, l - 1).matmul(corpus.routers()->weight[l].t());
    // The normalisation scales a token's logits alike, which changes no rank.
    EXPECT_TRUE(scores.select(1, l - 1).argsort(int64_t{-1}).equal(logits.argsort(int64_t{-1})));
  }
}

TEST(RecallAtK, CountsWhatIsAmongTheHighest) {
  const torch::Tensor logits = torch::tensor({{5.F, 4.F, 3.F, 2.F}, {0.F, 1.F, 2.F, 3.F}});
  const torch::Tensor experts = torch::tensor({{0, 3}, {3, 2}}, torch::kInt64);
  EXPECT_DOUBLE_EQ(recall_at_k(logits, experts), 0.75);
}

std::string error_of(const std::filesystem::path& directory) {
  try {
    const Corpus corpus(directory);
    corpus.for_each(with_features(), [](const RoutedText&) {});
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

/// Replaces one tensor of the first feature file.
void replace(const std::filesystem::path& directory, const std::string& name,
             const torch::Tensor& value) {
  const auto path = directory / "part-00000.features.safetensors";
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  {
    const tensor::SafetensorsFile file(path);
    for (const tensor::TensorEntry& entry : file.entries()) {
      tensors.emplace_back(entry.name,
                           entry.name == name ? value : file.tensor(entry.name).clone());
    }
  }
  tensor::write_safetensors(path, tensors);
  trace::Manifest manifest = trace::read_manifest(directory);
  manifest.shards[0].feature_bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  trace::write_manifest(directory, manifest);
}

TEST_F(Synthetic, FeaturesOfAnotherShapeAreRefused) {
  replace(directory_.path(), trace::features::kRouterInputs, torch::zeros({5, 4, 9}));
  EXPECT_THAT(error_of(directory_.path()), HasSubstr("[tokens, 4, 8]"));
}

TEST_F(Synthetic, FeaturesOfOtherTextsAreRefused) {
  const tensor::SafetensorsFile file(directory_.path() / "part-00000.features.safetensors");
  torch::Tensor offsets = file.tensor(trace::features::kOffsets).clone();
  offsets[3] += 1;
  replace(directory_.path(), trace::features::kOffsets, offsets);
  EXPECT_THAT(error_of(directory_.path()), HasSubstr("do not belong together"));
}

TEST_F(Synthetic, RowsThatDoNotRiseAreRefused) {
  const tensor::SafetensorsFile file(directory_.path() / "part-00000.features.safetensors");
  torch::Tensor rows = file.tensor(trace::features::kRows).clone();
  rows[3] = rows[2];
  replace(directory_.path(), trace::features::kRows, rows);
  EXPECT_THAT(error_of(directory_.path()), HasSubstr("rows[3]"));
}

TEST_F(Synthetic, RoutersOfAnotherShapeAreRefused) {
  tensor::write_safetensors(directory_.path() / trace::features::kRoutersFile,
                            {{trace::features::kRouterWeight, torch::zeros({4, 7, 8})},
                             {trace::features::kNormWeight, torch::zeros({4, 8})}},
                            {{trace::features::kNormEpsilon, "1e-6"}});
  EXPECT_THAT(error_of(directory_.path()), HasSubstr("expected float32 [4, 6, 8]"));
}

}  // namespace
}  // namespace foregate::predict
