#include "predict/counting/frequency.h"

#include "predict/counting/tables.h"

namespace foregate::predict {

void FrequencyPredictor::fit(const FitInputs& inputs) {
  const RoutingCounts& counts = inputs.counts.get();
  frequency_ = expert_frequency(counts.experts, counts.tokens);
}

torch::Tensor FrequencyPredictor::score(const RoutedText& text) const {
  return frequency_.slice(0, first_layer()).expand({text.num_tokens(), -1, -1});
}

NamedTensors FrequencyPredictor::weights() const {
  return {{"frequency", frequency_}};
}

void FrequencyPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  frequency_ =
      take_weight(weights, "frequency", {geometry().num_moe_layers, geometry().num_experts},
                  torch::kFloat32, where);
}

}  // namespace foregate::predict
