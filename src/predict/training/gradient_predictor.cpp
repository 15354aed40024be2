#include "predict/training/gradient_predictor.h"

#include <fmt/format.h>

namespace foregate::predict {

void NeuralPredictor::run_on(const torch::Device& device) {
  device_ = device;
  for (auto& [name, tensor] : values_) tensor = tensor.to(device);
}

void NeuralPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  values_ = take_parameters(parameters(), weights, where);
}

bool GradientPredictor::needs_gate_weights() const {
  return foregate::predict::needs_gate_weights(training_.loss);
}

void GradientPredictor::fit(const FitInputs& inputs) {
  train_alone(*this, inputs);
}

std::unique_ptr<Training> GradientPredictor::start_training(const FitInputs& inputs) {
  require_inputs(*this, inputs.corpus);
  std::unique_ptr<TrainingTask> task = make_task(inputs);
  return std::make_unique<Training>(
      std::move(task), initial_values(parameters(), inputs.environment.seed, &inputs.corpus),
      training_, inputs.environment, inputs.run,
      fmt::format("training {} at {}", name(), scoring::lead_name(lead())));
}

void GradientPredictor::end_training(Training& training) {
  values_ = training.result();
  best_step_ = training.best_step();
}

}  // namespace foregate::predict
