#include "predict/neural/next_gate.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "base/error.h"
#include "predict/fit_inputs.h"
#include "predict/neural/state_predictor.h"
#include "predict/neural/target_routers.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {

std::vector<ParameterSpec> NextGatePredictor::parameters() const {
  return with_inits(scoring::next_gate_layout(geometry(), lead()),
                    {{"router", scaled_target_router(*this)}});
}

void NextGatePredictor::fit(const FitInputs& inputs) {
  if (inputs.corpus.routers() && !inputs.corpus.routers()->choose_highest_logits()) {
    throw DataError(fmt::format(
        "{} scores experts by the router's logits, and the routers of {} do not choose the highest "
        "(they have biases or groups); use gate-adapter, which learns what they choose",
        name(), inputs.corpus.name()));
  }
  values_ = initial_values(parameters(), inputs.environment.seed, &inputs.corpus);
}

torch::Tensor NextGatePredictor::score(const RoutedText& text) const {
  const torch::NoGradGuard no_grad;
  const StateInputs inputs = visible_inputs(*this, text, /*history=*/false, device());
  const torch::Tensor router = values_.at("router").transpose(1, 2);
  return layer_matmul(inputs.states, router, torch::kFloat32).transpose(0, 1).contiguous().cpu();
}

}  // namespace foregate::predict
