#include "predict/training/loss.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <vector>

namespace foregate::predict {
namespace {

constexpr int64_t kExperts = 5;
constexpr int64_t kTopK = 2;

// Three decisions at each of two layers.
struct Case {
  torch::Tensor logits;
  Decisions truth;
};

Case make_case() {
  torch::manual_seed(3);
  const torch::Tensor ranks =
      torch::randn({2, 3, kExperts}).argsort(int64_t{-1}).narrow(2, 0, kTopK);
  const torch::Tensor gates = std::get<0>(torch::rand({2, 3, kTopK}).sort(-1, true));
  return {torch::randn({2, 3, kExperts}) * 2, {ranks.contiguous(), gates}};
}

// The definitions of loss.h, decision by decision.
double by_hand(Loss loss, const Case& c) {
  const auto logits = c.logits.reshape({-1, kExperts});
  const auto experts = c.truth.experts.reshape({-1, kTopK});
  const auto gates = c.truth.gate_weights.reshape({-1, kTopK});
  double total = 0;
  for (int64_t d = 0; d < logits.size(0); ++d) {
    std::vector<double> s(kExperts);
    std::vector<double> chosen(kExperts, 0);
    std::vector<double> g(kExperts, 0);
    double mass = 0;
    double partition = 0;
    for (int64_t i = 0; i < kTopK; ++i) mass += gates[d][i].item<double>();
    for (int64_t e = 0; e < kExperts; ++e)
      partition += std::exp(s[e] = logits[d][e].item<double>());
    for (int64_t i = 0; i < kTopK; ++i) {
      const int64_t e = experts[d][i].item<int64_t>();
      chosen[e] = 1;
      g[e] = gates[d][i].item<double>() / mass;
    }
    for (int64_t e = 0; e < kExperts; ++e) {
      const double cost = std::log(1 + std::exp(s[e])) - chosen[e] * s[e];
      if (loss == Loss::kBinary) total += cost;
      if (loss == Loss::kGateMass) total += cost * (chosen[e] > 0 ? kTopK * g[e] : 1);
      if (loss == Loss::kListwise) total -= g[e] * (s[e] - std::log(partition));
    }
  }
  return total / static_cast<double>(logits.size(0));
}

TEST(Loss, IsWhatItsDefinitionSays) {
  const Case c = make_case();
  for (const Loss loss : {Loss::kBinary, Loss::kGateMass, Loss::kListwise}) {
    EXPECT_NEAR(mean_loss(loss, c.logits, c.truth).item<double>(), by_hand(loss, c), 1e-5)
        << loss_name(loss);
  }
}

TEST(Loss, EqualGatesWeighAllChosenAlike) {
  Case c = make_case();
  c.truth.gate_weights = torch::full_like(c.truth.gate_weights, 0.2);
  EXPECT_NEAR(mean_loss(Loss::kGateMass, c.logits, c.truth).item<double>(),
              mean_loss(Loss::kBinary, c.logits, c.truth).item<double>(), 1e-5);
}

TEST(Loss, ListwiseIsLeastWhereTheSoftmaxIsTheShares) {
  Case c = make_case();
  const torch::Tensor shares =
      c.truth.gate_weights / c.truth.gate_weights.sum(-1, /*keepdim=*/true);
  c.logits = torch::full_like(c.logits, -30).scatter(-1, c.truth.experts, shares.log());
  c.logits.requires_grad_();
  mean_loss(Loss::kListwise, c.logits, c.truth).backward();
  EXPECT_LT(c.logits.grad().abs().max().item<double>(), 1e-6);
}

TEST(Loss, ZeroGatesAreNoNumbersToDivideBy) {
  Case c = make_case();
  c.truth.gate_weights = torch::zeros_like(c.truth.gate_weights);
  for (const Loss loss : {Loss::kGateMass, Loss::kListwise}) {
    EXPECT_TRUE(std::isfinite(mean_loss(loss, c.logits, c.truth).item<double>()));
  }
}

TEST(Loss, HasNames) {
  for (const Loss loss : {Loss::kBinary, Loss::kGateMass, Loss::kListwise}) {
    EXPECT_EQ(find_loss(loss_name(loss)), loss);
  }
  EXPECT_EQ(find_loss("hinge"), std::nullopt);
  EXPECT_FALSE(needs_gate_weights(Loss::kBinary));
}

}  // namespace
}  // namespace foregate::predict
