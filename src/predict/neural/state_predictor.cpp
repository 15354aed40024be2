#include "predict/neural/state_predictor.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "predict/fit_inputs.h"
#include "predict/neural/state_rows.h"
#include "predict/neural/state_task.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "predict/training/trainer.h"

namespace foregate::predict {

torch::Tensor StatePredictor::score(const RoutedText& text) const {
  const torch::Tensor& states = visible_states(text, lead());
  if (!states.defined()) {
    throw DataError(fmt::format(
        "{} at {} reads hidden states, and a text has none; collect with --record features", name(),
        scoring::lead_name(lead())));
  }
  const torch::NoGradGuard no_grad;
  StateInputs inputs = inputs_of(text, lead(), geometry(), reads_history());
  for (torch::Tensor* tensor : {&inputs.states, &inputs.history.ids, &inputs.history.experts}) {
    if (tensor->defined()) *tensor = tensor->to(device_);
  }
  return logits(parameters_, inputs, torch::kFloat32).transpose(0, 1).contiguous().cpu();
}

void StatePredictor::run_on(const torch::Device& device) {
  device_ = device;
  for (auto& [name, tensor] : parameters_) tensor = tensor.to(device);
}

Json TrainedStatePredictor::settings() const {
  return settings_.to_json();
}

void TrainedStatePredictor::fit(const FitInputs& inputs) {
  train_alone(*this, inputs);
}

std::unique_ptr<Training> TrainedStatePredictor::start_training(const FitInputs& inputs) {
  require_inputs(*this, inputs.corpus);
  return std::make_unique<Training>(
      std::make_unique<StateTask>(*this, inputs, settings_), initial_parameters(inputs), settings_,
      inputs.environment, inputs.run,
      fmt::format("training {} at {}", name(), scoring::lead_name(lead())));
}

void TrainedStatePredictor::end_training(Training& training) {
  parameters_ = training.result();
}

TargetRouters target_routers(const RoutedTexts& corpus, const Predictor& predictor) {
  if (!corpus.routers()) {
    throw DataError(fmt::format(
        "{} starts from the model's routers, and {} has no routers.safetensors; collect "
        "with --record features, or name the model with --model",
        predictor.name(), corpus.name()));
  }
  const int first = predictor.first_layer();
  const nn::Routers& routers = *corpus.routers();
  const torch::Tensor norm = routers.norm_weight.slice(0, first);
  const bool before_norm = predictor.lead().kind == scoring::Lead::Kind::kPreAttention;
  return {routers.weight.slice(0, first), before_norm ? norm : torch::ones_like(norm)};
}

}  // namespace foregate::predict
