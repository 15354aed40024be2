// Every kind of router against a plain reference in float64.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "compare.h"
#include "nn/router.h"

namespace foregate {
namespace {

using nn::RouterSpec;
using testing::expect_close;

struct Decision {
  std::vector<int64_t> experts;
  std::vector<double> gates;
};

std::vector<double> softmax(const std::vector<double>& values) {
  const double highest = *std::max_element(values.begin(), values.end());
  std::vector<double> result;
  for (const double value : values) result.push_back(std::exp(value - highest));
  const double total = std::accumulate(result.begin(), result.end(), 0.0);
  for (double& value : result) value /= total;
  return result;
}

// Indices by falling value, ties by index.
std::vector<int64_t> ranked(const std::vector<double>& values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return values[a] > values[b]; });
  return order;
}

// As transformers' sparsemixer words it, by masks: `scores` of all experts, `open` those that may
// still be chosen.
double sparsemixer_gate(const std::vector<double>& scores, const std::vector<bool>& open,
                        double jitter) {
  double highest = -std::numeric_limits<double>::infinity();
  for (size_t e = 0; e < scores.size(); ++e) {
    if (open[e]) highest = std::max(highest, scores[e]);
  }
  std::vector<double> kept;
  for (size_t e = 0; e < scores.size(); ++e) {
    const double factor = std::max(std::abs(scores[e]), highest);
    const bool masked = (highest - scores[e]) / factor > 2 * jitter;
    if (open[e] && !masked) kept.push_back(scores[e]);
  }
  const std::vector<double> gates = softmax(kept);
  return *std::max_element(gates.begin(), gates.end());
}

// As the modelling code of DeepSeek-V2, DeepSeek-V3 and gpt-oss words it, one token at a time.
Decision reference(std::vector<double> logits, const RouterSpec& spec,
                   const std::vector<double>& logit_bias, const std::vector<double>& choice_bias,
                   int64_t k) {
  const auto experts = static_cast<int64_t>(logits.size());
  for (int64_t e = 0; e < experts; ++e) logits[e] += logit_bias[e];
  std::vector<double> scores = logits;
  if (spec.score == RouterSpec::Score::kSoftmax) scores = softmax(logits);
  if (spec.score == RouterSpec::Score::kSigmoid) {
    for (double& score : scores) score = 1 / (1 + std::exp(-score));
  }
  std::vector<double> choice = scores;
  for (int64_t e = 0; e < experts; ++e) choice[e] += choice_bias[e];
  std::vector<double> group_scores;
  const int64_t size = experts / spec.groups;
  for (int64_t group = 0; group < spec.groups; ++group) {
    std::vector<double> of_group(choice.begin() + group * size,
                                 choice.begin() + (group + 1) * size);
    std::sort(of_group.rbegin(), of_group.rend());
    const bool two = spec.group_score == RouterSpec::GroupScore::kSumOfTopTwo;
    group_scores.push_back(of_group[0] + (two ? of_group[1] : 0));
  }
  std::vector<int64_t> kept = ranked(group_scores);
  kept.resize(static_cast<size_t>(spec.top_groups));
  for (int64_t e = 0; e < experts; ++e) {
    if (std::find(kept.begin(), kept.end(), e / size) == kept.end()) {
      choice[e] = -std::numeric_limits<double>::infinity();
    }
  }
  Decision decision;
  decision.experts = ranked(choice);
  decision.experts.resize(static_cast<size_t>(k));
  for (const int64_t e : decision.experts) decision.gates.push_back(scores[e]);
  if (spec.score == RouterSpec::Score::kSoftmaxOfChosen) decision.gates = softmax(decision.gates);
  if (spec.score == RouterSpec::Score::kSparsemixer) {
    std::vector<bool> open(scores.size(), true);
    for (size_t i = 0; i < decision.gates.size(); ++i) {
      decision.gates[i] = sparsemixer_gate(scores, open, spec.jitter);
      open[static_cast<size_t>(decision.experts[i])] = false;
    }
  }
  const double sum = std::accumulate(decision.gates.begin(), decision.gates.end(), 0.0);
  const double total = spec.norm_topk ? std::max(sum + spec.epsilon, spec.min_sum) : 1;
  for (double& gate : decision.gates) gate = gate / total * spec.scale;
  std::vector<int64_t> order(decision.gates.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return decision.gates[a] > decision.gates[b]; });
  Decision ordered;
  for (const int64_t i : order) {
    ordered.experts.push_back(decision.experts[i]);
    ordered.gates.push_back(decision.gates[i]);
  }
  return ordered;
}

std::vector<double> row_of(const torch::Tensor& values) {
  const torch::Tensor wide = values.to(torch::kFloat64).contiguous();
  const auto* first = wide.const_data_ptr<double>();
  return {first, first + wide.numel()};
}

void expect_as_reference(const torch::Tensor& logits, const RouterSpec& spec,
                         const nn::RouterBiases& biases, int64_t k) {
  const torch::Tensor none = torch::zeros({logits.size(1)});
  const nn::Routing routing = nn::route(logits, spec, biases, k);
  ASSERT_EQ(routing.experts.sizes(), (std::vector<int64_t>{logits.size(0), k}));
  for (int64_t t = 0; t < logits.size(0); ++t) {
    const Decision expected =
        reference(row_of(logits[t]), spec, row_of(biases.logit.defined() ? biases.logit : none),
                  row_of(biases.choice.defined() ? biases.choice : none), k);
    ASSERT_TRUE(torch::equal(routing.experts[t], torch::tensor(expected.experts)))
        << "token " << t << ": " << routing.experts[t] << " and not "
        << torch::tensor(expected.experts);
    expect_close(routing.gate_weights[t], torch::tensor(expected.gates, torch::kFloat64), 1e-6);
  }
}

struct RouterCase {
  const char* name;
  RouterSpec spec;
  bool logit_bias = false;
  bool choice_bias = false;
};

class RouterSpecTest : public ::testing::TestWithParam<RouterCase> {
 protected:
  static constexpr int64_t kExperts = 16;

  // Multiples of a quarter: with a few of them there are ties, and all are exact.
  static torch::Tensor grid(at::IntArrayRef shape, int64_t values) {
    return torch::randint(0, values, shape).to(torch::kFloat32) / 4;
  }
  static nn::RouterBiases biases() {
    nn::RouterBiases biases;
    // Some of them so low that the choice score is negative.
    if (GetParam().choice_bias) biases.choice = grid({kExperts}, 9) - 1.5;
    if (GetParam().logit_bias) biases.logit = grid({kExperts}, 9) - 1;
    return biases;
  }
};

TEST_P(RouterSpecTest, MatchesTheReference) {
  torch::manual_seed(5);
  for (const int64_t tokens : {0, 1, 31, 32, 33}) {
    for (const int64_t k : {1, 3, 4}) {
      expect_as_reference(torch::randn({tokens, kExperts}) * 3, GetParam().spec, biases(), k);
    }
  }
}

TEST_P(RouterSpecTest, BreaksTiesByLowestIndex) {
  torch::manual_seed(6);
  for (const int64_t tokens : {1, 31, 32, 33}) {
    for (const int64_t values : {1, 2, 4}) {
      expect_as_reference(grid({tokens, kExperts}, values), GetParam().spec, biases(), 4);
    }
  }
}

TEST_P(RouterSpecTest, DoesNotDependOnTheBatch) {
  torch::manual_seed(7);
  const torch::Tensor logits = torch::randn({333, kExperts});
  const nn::RouterBiases added = biases();
  const nn::Routing whole = nn::route(logits, GetParam().spec, added, 4);
  const nn::Routing part = nn::route(logits.narrow(0, 100, 33), GetParam().spec, added, 4);
  EXPECT_TRUE(torch::equal(part.experts, whole.experts.narrow(0, 100, 33)));
  EXPECT_TRUE(torch::equal(part.gate_weights, whole.gate_weights.narrow(0, 100, 33)));
}

constexpr auto kSoftmax = RouterSpec::Score::kSoftmax;
constexpr auto kSigmoid = RouterSpec::Score::kSigmoid;
constexpr auto kOfChosen = RouterSpec::Score::kSoftmaxOfChosen;
constexpr auto kSumOfTopTwo = RouterSpec::GroupScore::kSumOfTopTwo;

INSTANTIATE_TEST_SUITE_P(
    Table, RouterSpecTest,
    ::testing::Values(RouterCase{"softmax", {}}, RouterCase{"renormalised", {.norm_topk = true}},
                      RouterCase{"deepseek_v2", {.scale = 16, .groups = 4, .top_groups = 2}},
                      RouterCase{"ernie4_5_moe", {.norm_topk = true, .min_sum = 0.4}, false, true},
                      RouterCase{"softmax_sums_of_two",
                                 {.groups = 4, .top_groups = 2, .group_score = kSumOfTopTwo}},
                      RouterCase{"softmax_logit_bias", {}, true},
                      RouterCase{"sigmoid", {.score = kSigmoid}},
                      RouterCase{"minimax_m2", {.score = kSigmoid, .norm_topk = true}, false, true},
                      RouterCase{"deepseek_v3",
                                 {.score = kSigmoid,
                                  .norm_topk = true,
                                  .epsilon = 1e-20,
                                  .scale = 2.5,
                                  .groups = 4,
                                  .top_groups = 2,
                                  .group_score = kSumOfTopTwo},
                                 false,
                                 true},
                      RouterCase{"sigmoid_groups_by_best",
                                 {.score = kSigmoid, .epsilon = 0.5, .groups = 8, .top_groups = 3},
                                 true,
                                 true},
                      RouterCase{"granite", {.score = kOfChosen}},
                      RouterCase{"gpt_oss", {.score = kOfChosen}, true},
                      RouterCase{"chosen_in_groups",
                                 {.score = kOfChosen, .norm_topk = true, .scale = 0.5, .groups = 2},
                                 false,
                                 true}),
    [](const auto& test) { return test.param.name; });

// With a jitter that large some gates share their softmax and some stand alone.
TEST(RouterSpecs, SparsemixerMatchesTheReference) {
  torch::manual_seed(11);
  for (const double jitter : {0.0, 0.01, 0.2}) {
    for (const int64_t tokens : {0, 1, 33, 200}) {
      expect_as_reference(torch::randn({tokens, 16}) - 0.5,
                          {.score = RouterSpec::Score::kSparsemixer, .jitter = jitter}, {}, 2);
    }
  }
  EXPECT_THROW(nn::route(torch::zeros({1, 4}), {.score = RouterSpec::Score::kSparsemixer}, {}, 3),
               DataError);
}

TEST(RouterSpecs, NotANumberRanksLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const torch::Tensor logits = torch::tensor({nan, -1.0F, nan, 2.0F}).unsqueeze(0);
  const torch::Tensor expected = torch::tensor({{3, 1, 0, 2}}, torch::kInt64);
  for (const auto score : {kSoftmax, kSigmoid, kOfChosen}) {
    EXPECT_TRUE(torch::equal(nn::route(logits, {.score = score}, {}, 4).experts, expected));
  }
}

TEST(RouterSpecs, SigmoidsThatRoundToOneAreTies) {
  const torch::Tensor logits = torch::tensor({50.0F, 60.0F, 70.0F}).unsqueeze(0);
  EXPECT_TRUE(torch::equal(nn::route(logits, {.score = kSigmoid}, {}, 2).experts,
                           torch::tensor({{0, 1}}, torch::kInt64)));
}

TEST(RouterSpecs, WhatCannotBeIsRefused) {
  const torch::Tensor logits = torch::zeros({1, 6});
  EXPECT_THROW(nn::route(logits, {.groups = 4}, {}, 1), DataError);
  EXPECT_THROW(nn::route(logits, {.groups = 2, .top_groups = 3}, {}, 1), DataError);
  EXPECT_THROW(nn::route(logits, {.groups = 3, .top_groups = 1}, {}, 3), DataError);
  EXPECT_THROW(
      nn::route(logits, {.groups = 6, .top_groups = 2, .group_score = kSumOfTopTwo}, {}, 1),
      DataError);
  EXPECT_THROW(nn::route(logits, {}, {.choice = torch::zeros({5})}, 1), c10::Error);
  EXPECT_THROW(nn::route(logits, {}, {.logit = torch::zeros({6}, torch::kFloat64)}, 1), c10::Error);
}

}  // namespace
}  // namespace foregate
