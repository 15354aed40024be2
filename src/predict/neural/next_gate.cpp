#include "predict/neural/next_gate.h"

#include <fmt/format.h>

#include "base/error.h"
#include "predict/fit_inputs.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {

void NextGatePredictor::fit(const FitInputs& inputs) {
  const TargetRouters routers = target_routers(inputs.corpus, *this);
  if (!inputs.corpus.routers()->choose_highest_logits()) {
    throw DataError(fmt::format(
        "{} scores experts by the router's logits, and the routers of {} do not choose the highest "
        "(they have biases or groups); use gate-adapter, which learns what they choose",
        name(), inputs.corpus.name()));
  }
  parameters_ = {{"router", routers.weight * routers.gain.unsqueeze(1)}};
}

void NextGatePredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  parameters_ = {
      {"router", take_weight(weights, "router",
                             {num_layers(), geometry().num_experts, geometry().hidden_size},
                             torch::kFloat32, where)}};
}

torch::Tensor NextGatePredictor::logits(const NamedTensors& parameters, const StateInputs& inputs,
                                        torch::ScalarType dtype) const {
  return layer_matmul(inputs.states, parameters.at("router").transpose(1, 2), dtype);
}

}  // namespace foregate::predict
