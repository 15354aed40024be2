// The counting predictors against numbers worked out by hand from four tokens.
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "predict/counting/mixture.h"
#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"
#include "scoring/counting/pair_table.h"
#include "support/synthetic_trace.h"
#include "support/temporary_folder.h"

namespace foregate::predict {
namespace {

using testing::TemporaryFolder;

// Two layers of three experts, top-1. A dataset of two texts is all training.
//   text A  ids 1 2   layer 0: experts 0 1   layer 1: experts 1 2
//   text B  ids 1 1   layer 0: experts 0 0   layer 1: experts 1 0
class Counting : public ::testing::Test {
 protected:
  Counting() {
    trace::Geometry geometry;
    geometry.num_moe_layers = 2;
    geometry.num_experts = 3;
    geometry.top_k = 1;
    geometry.vocab_size = 10;
    geometry.moe_layers = {0, 1};
    testing::write_trace(directory_.path(), geometry,
                         {trace(0, {1, 2}, {0, 1, 1, 2}), trace(1, {1, 1}, {0, 1, 0, 0})});
    corpus_ = std::make_unique<Corpus>(directory_.path());
    counts_ = std::make_unique<SharedCounts>(*corpus_);
    texts_ = testing::read_texts(*corpus_, {});
  }

  static trace::Trace trace(int64_t sample, std::vector<int32_t> ids,
                            std::vector<uint16_t> experts) {
    trace::Trace trace;
    trace.dataset = "hand";
    trace.sample = sample;
    trace.token_ids = std::move(ids);
    trace.prompt_tokens = trace.num_tokens();
    trace.experts = std::move(experts);
    return trace;
  }

  std::unique_ptr<Predictor> fitted(const char* name, scoring::Lead lead) {
    auto predictor = make_predictor(name, lead, corpus_->geometry());
    predictor->fit({*corpus_, *counts_, {}});
    return predictor;
  }

  static void expect_row(const torch::Tensor& row, std::vector<double> expected) {
    ASSERT_EQ(row.numel(), static_cast<int64_t>(expected.size()));
    for (int64_t e = 0; e < row.numel(); ++e) {
      EXPECT_NEAR(row[e].item<double>(), expected[static_cast<size_t>(e)], 1e-6) << "expert " << e;
    }
  }

  TemporaryFolder directory_;
  std::unique_ptr<Corpus> corpus_;
  std::unique_ptr<SharedCounts> counts_;
  std::vector<RoutedText> texts_;
};

TEST_F(Counting, Counts) {
  const RoutingCounts& counts = counts_->get();
  EXPECT_EQ(counts.tokens, 4);
  EXPECT_TRUE(counts.ids.equal(torch::tensor({1, 2}, torch::kInt64)));
  EXPECT_TRUE(counts.id_tokens.equal(torch::tensor({3, 1}, torch::kInt32)));
  EXPECT_TRUE(counts.before_tokens.equal(torch::tensor({2, 0}, torch::kInt32)));
  EXPECT_TRUE(counts.id_experts[0][0].equal(torch::tensor({3, 0, 0}, torch::kInt32)));
  EXPECT_TRUE(counts.before_experts[0][1].equal(torch::tensor({1, 0, 1}, torch::kInt32)));
  // Token after token at layer 0: 0 then 1 (A), 0 then 0 (B).
  EXPECT_TRUE(counts.previous[0][0].equal(torch::tensor({1, 1, 0}, torch::kInt32)));
  EXPECT_EQ(counts.previous[0].sum().item<int>(), 2);
  // Layer 0 to layer 1: 0 with 1 twice, 0 with 0 once, 1 with 2 once.
  EXPECT_TRUE(counts.transitions[1][0][0].equal(torch::tensor({1, 2, 0}, torch::kInt32)));
  EXPECT_TRUE(counts.transitions[1][0][1].equal(torch::tensor({0, 0, 1}, torch::kInt32)));
  EXPECT_EQ(counts.transitions.sum().item<int>(), 4);
  // Pairs of ids 1 1 (B) and 1 2 (A), with what the later one chose at both layers.
  using scoring::pair_id;
  EXPECT_TRUE(counts.pair_ids.equal(torch::tensor({pair_id(1, 1), pair_id(1, 2)}, torch::kInt64)));
  EXPECT_TRUE(counts.pair_begin.equal(torch::tensor({0, 1, 2}, torch::kInt64)));
  EXPECT_TRUE(counts.pair_experts.view({2, 2}).equal(
      torch::tensor({0, 0, 1, 2}, torch::kInt16).view({2, 2})));
}

TEST_F(Counting, Frequency) {
  const torch::Tensor scores = fitted("frequency", scoring::Lead::next_token())->score(texts_[0]);
  EXPECT_EQ(scores.sizes(), at::IntArrayRef({2, 2, 3}));
  expect_row(scores[0][0], {0.75, 0.25, 0});
  expect_row(scores[1][1], {0.25, 0.5, 0.25});
  const torch::Tensor later = fitted("frequency", scoring::Lead::layer(1))->score(texts_[0]);
  EXPECT_EQ(later.sizes(), at::IntArrayRef({2, 1, 3}));
  expect_row(later[0][0], {0.25, 0.5, 0.25});
}

TEST_F(Counting, PreviousTokenThenFrequency) {
  const torch::Tensor scores =
      fitted("previous-token", scoring::Lead::next_token())->score(texts_[0]);
  expect_row(scores[0][0], {0.00075, 0.00025, 0});
  expect_row(scores[1][0], {1.00075, 0.00025, 0});
  expect_row(scores[1][1], {0.00025, 1.0005, 0.00025});
}

TEST_F(Counting, TokenTableBacksOffByFourPseudoCounts) {
  RoutedText text = texts_[0];
  text.token_ids = torch::tensor({1, 2, 7}, torch::kInt64);
  const torch::Tensor scores = fitted("token-table", scoring::Lead::next_token())->score(text);
  expect_row(scores[0][0], {6.0 / 7, 1.0 / 7, 0});
  expect_row(scores[1][0], {3.0 / 5, 2.0 / 5, 0});
  expect_row(scores[2][0], {0.75, 0.25, 0});  // Never seen: the frequency.
  expect_row(scores[1][1], {1.0 / 5, 2.0 / 5, 2.0 / 5});
}

TEST_F(Counting, TransitionWithoutValidationTextsIsNaiveBayes) {
  const torch::Tensor scores = fitted("transition", scoring::Lead::layer(1))->score(texts_[0]);
  ASSERT_EQ(scores.sizes(), at::IntArrayRef({2, 1, 3}));
  // With eight pseudo-counts: P(. | 0) = (1 + 2, 2 + 4, 0 + 2) / 11, P(. | 1) = (2, 4, 1 + 2) / 9.
  expect_row(scores[0][0], {std::log(3.0 / 11), std::log(6.0 / 11), std::log(2.0 / 11)});
  expect_row(scores[1][0], {std::log(2.0 / 9), std::log(4.0 / 9), std::log(3.0 / 9)});
}

TEST_F(Counting, TransitionWeighsPaths) {
  const auto predictor = fitted("transition", scoring::Lead::layer(1));
  NamedTensors weights = predictor->weights();
  weights["mixture"] = torch::zeros_like(weights["mixture"]);
  weights["mixture"][0][1 + 2 * RoutingCounts::kWindow] = 1;
  predictor->set_weights(weights, "test");
  const torch::Tensor scores = predictor->score(texts_[0]);
  // After expert 0 came 0 once and 1 twice, of which a quarter and a half was to be expected.
  expect_row(scores[0][0], {std::log(1 + 1 / 1.0), std::log(1 + 2 / 2.0), 0});
  expect_row(scores[1][0], {0, 0, 0});  // expert 1 was there once: not kept
}

TEST_F(Counting, StatisticsWithoutValidationTextsIsTheTokenTable) {
  const torch::Tensor scores = fitted("statistics", scoring::Lead::next_token())->score(texts_[0]);
  expect_row(scores[1][1], {std::log(1.0 / 5), std::log(2.0 / 5), std::log(2.0 / 5)});
}

TEST_F(Counting, StatisticsWeighsEveryIngredient) {
  const auto predictor = fitted("statistics", scoring::Lead::layer(1));
  NamedTensors weights = predictor->weights();
  // The second token of a text at layer 1.
  const auto score_with = [&](int64_t term, size_t text = 0) {
    weights["mixture"] = torch::zeros_like(weights["mixture"]);
    weights["mixture"][0][term] = 1;
    predictor->set_weights(weights, "test");
    return predictor->score(texts_[text])[1][0];
  };
  const auto log_ratio = [](double p, double frequency) { return std::log(p / frequency); };
  expect_row(score_with(0), {std::log(0.25), std::log(0.5), std::log(0.25)});
  expect_row(score_with(1), {log_ratio(0.2, 0.25), log_ratio(0.4, 0.5), log_ratio(0.4, 0.25)});
  // With one expert a token, the first choice is the only one.
  expect_row(score_with(2), {log_ratio(0.2, 0.25), log_ratio(0.4, 0.5), log_ratio(0.4, 0.25)});
  // After id 1 came experts 2 and 0: (1 + 1, 0 + 2, 1 + 1) / 6.
  expect_row(score_with(3),
             {log_ratio(2.0 / 6, 0.25), log_ratio(2.0 / 6, 0.5), log_ratio(2.0 / 6, 0.25)});
  // After expert 1 came experts 2 and 0: (1 + 2, 0 + 4, 1 + 2) / 10.
  expect_row(score_with(4), {log_ratio(0.3, 0.25), log_ratio(0.4, 0.5), log_ratio(0.3, 0.25)});
  // The text so far: expert 1 once, two pseudo-counts of the frequency.
  expect_row(score_with(5),
             {log_ratio(0.5 / 3, 0.25), log_ratio(2.0 / 3, 0.5), log_ratio(0.5 / 3, 0.25)});
  // Id 2 was not in text A before. In text B, id 1 chose expert 1; P(e | id 1) is (2, 4, 1) / 7.
  expect_row(score_with(6), {0, 0, 0});
  expect_row(score_with(6, 1), {log_ratio(4.0 / 21, 2.0 / 7), log_ratio(15.0 / 21, 4.0 / 7),
                                log_ratio(2.0 / 21, 1.0 / 7)});
  expect_row(score_with(7), {0, 0, 0});
  // Id 2 after id 1 chose expert 2 once; P(e | id 2) is (1, 2, 2) / 5.
  expect_row(score_with(8),
             {log_ratio(0.4 / 3, 0.2), log_ratio(0.8 / 3, 0.4), log_ratio(1.8 / 3, 0.4)});
  expect_row(score_with(9),
             {log_ratio(2.0 / 9, 0.25), log_ratio(4.0 / 9, 0.5), log_ratio(3.0 / 9, 0.25)});
  expect_row(score_with(10), {0, 0, 0});  // There is no layer before the first.
  // The path through expert 1 was seen once, that through expert 0 led to 0 once and to 1 twice.
  expect_row(score_with(17), {0, 0, 0});
  expect_row(score_with(17, 1), {std::log(2.0), std::log(2.0), 0});
}

TEST(Mixture, FindsTheWeightsThatMadeTheChoices) {
  torch::manual_seed(0);
  const torch::Tensor evidence = torch::randn({3, 4000, 5});
  const torch::Tensor truth = torch::tensor({1.5F, 0.0F, -0.7F});
  const torch::Tensor experts =
      torch::tensordot(evidence, truth, {0}, {0}).softmax(-1).multinomial(1);
  const torch::Tensor found = fit_log_linear(evidence, experts, torch::tensor({1.0F, 1.0F, 0.0F}));
  EXPECT_TRUE(found.allclose(truth, 0, 0.1)) << found;
}

}  // namespace
}  // namespace foregate::predict
