#include "predict/transition_predictor.h"

#include <torch/torch.h>

#include "predict/tables.h"

namespace foregate {

void TransitionPredictor::fit(const FitInputs& inputs) {
  const RoutingCounts& counts = inputs.counts.get();
  frequency_ = expert_frequency(counts.experts, counts.tokens);
  evidence_ = pair_evidence(counts.transitions, frequency_, geometry().top_k);
}

torch::Tensor TransitionPredictor::score(const RoutedText& text) const {
  const torch::Tensor chosen = multi_hot(text.experts, geometry().num_experts);  // [n, L, E]
  std::vector<torch::Tensor> layers;
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    torch::Tensor score = safe_log(frequency_[l]).expand({text.num_tokens(), -1});
    for (int w = lead().distance - 1; w < RoutingCounts::kWindow && l - 1 - w >= 0; ++w) {
      score = score + chosen.select(1, l - 1 - w).matmul(evidence_[l][w]);
    }
    layers.push_back(score);
  }
  return torch::stack(layers, 1);
}

NamedTensors TransitionPredictor::weights() const {
  return {{"frequency", frequency_}, {"evidence", evidence_}};
}

void TransitionPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t layers = geometry().num_moe_layers;
  const int64_t experts = geometry().num_experts;
  frequency_ = take_weight(weights, "frequency", {layers, experts}, torch::kFloat32, where);
  evidence_ = take_weight(weights, "evidence", {layers, RoutingCounts::kWindow, experts, experts},
                          torch::kFloat32, where);
}

}  // namespace foregate
