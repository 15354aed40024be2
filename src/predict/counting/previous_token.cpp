#include "predict/counting/previous_token.h"

#include <torch/types.h>

#include "predict/counting/tables.h"

namespace foregate::predict {
namespace {

// Frequencies are below 1, so that they only order the experts the token before did not choose.
constexpr double kFrequencyWeight = 1e-3;

}  // namespace

void PreviousTokenPredictor::fit(const FitInputs& inputs) {
  const RoutingCounts& counts = inputs.counts.get();
  frequency_ = expert_frequency(counts.experts, counts.tokens);
}

torch::Tensor PreviousTokenPredictor::score(const RoutedText& text) const {
  torch::Tensor scores = (kFrequencyWeight * frequency_).repeat({text.num_tokens(), 1, 1});
  const int64_t followers = text.num_tokens() - 1;
  if (followers > 0) {
    scores.slice(0, 1) += multi_hot(text.experts.slice(0, 0, followers), geometry().num_experts);
  }
  return scores;
}

NamedTensors PreviousTokenPredictor::weights() const {
  return {{"frequency", frequency_}};
}

void PreviousTokenPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  frequency_ =
      take_weight(weights, "frequency", {geometry().num_moe_layers, geometry().num_experts},
                  torch::kFloat32, where);
}

}  // namespace foregate::predict
