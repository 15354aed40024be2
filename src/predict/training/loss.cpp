#include "predict/training/loss.h"

#include <torch/types.h>

#include <algorithm>

#include "predict/predictor.h"

namespace foregate::predict {
namespace {

/// Of gate weights that are all zero no share can be taken.
constexpr double kLeastMass = 1e-12;

torch::Tensor shares(const torch::Tensor& gate_weights) {
  return gate_weights / gate_weights.sum(-1, /*keepdim=*/true).clamp_min(kLeastMass);
}

torch::Tensor binary(const torch::Tensor& logits, const Decisions& truth,
                     const torch::Tensor& weight) {
  return torch::binary_cross_entropy_with_logits(logits, multi_hot(truth.experts, logits.size(-1)),
                                                 weight, {}, at::Reduction::Sum);
}

torch::Tensor gate_mass(const torch::Tensor& logits, const Decisions& truth) {
  const auto k = static_cast<double>(truth.experts.size(-1));
  const torch::Tensor weight =
      torch::ones_like(logits).scatter(-1, truth.experts, k * shares(truth.gate_weights));
  return binary(logits, truth, weight);
}

torch::Tensor listwise(const torch::Tensor& logits, const Decisions& truth) {
  const torch::Tensor chosen = torch::log_softmax(logits, -1).gather(-1, truth.experts);
  return -(shares(truth.gate_weights) * chosen).sum();
}

torch::Tensor total_loss(Loss loss, const torch::Tensor& logits, const Decisions& truth) {
  switch (loss) {
    case Loss::kGateMass:
      return gate_mass(logits, truth);
    case Loss::kListwise:
      return listwise(logits, truth);
    case Loss::kBinary:
      break;
  }
  return binary(logits, truth, {});
}

}  // namespace

const std::vector<std::string>& loss_names() {
  // In the order of Loss.
  static const std::vector<std::string> names = {"bce", "gate-mass", "listwise"};
  return names;
}

std::string loss_name(Loss loss) {
  return loss_names()[static_cast<size_t>(loss)];
}

std::optional<Loss> find_loss(const std::string& name) {
  const auto& names = loss_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Loss>(found - names.begin());
}

bool needs_gate_weights(Loss loss) {
  return loss != Loss::kBinary;
}

torch::Tensor mean_loss(Loss loss, const torch::Tensor& logits, const Decisions& truth) {
  const auto decisions = static_cast<double>(logits.size(0) * logits.size(1));
  return total_loss(loss, logits, truth) / decisions;
}

double recall_at_k(const torch::Tensor& logits, const torch::Tensor& experts) {
  const torch::Tensor truth = multi_hot(experts, logits.size(-1));
  const torch::Tensor best = std::get<1>(logits.topk(experts.size(-1), -1));
  return truth.gather(-1, best).mean().item<double>();
}

}  // namespace foregate::predict
