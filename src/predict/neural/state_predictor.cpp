#include "predict/neural/state_predictor.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "base/error.h"
#include "predict/training/streamed_task.h"

namespace foregate::predict {

StateInputs visible_inputs(const Predictor& predictor, const RoutedText& text, bool history,
                           const torch::Device& device) {
  if (!visible_states(text, predictor.lead()).defined()) {
    throw DataError(fmt::format(
        "{} at {} reads hidden states, and a text has none; collect with --record features",
        predictor.name(), scoring::lead_name(predictor.lead())));
  }
  StateInputs inputs = inputs_of(text, predictor.lead(), predictor.geometry(), history);
  for (torch::Tensor* tensor : {&inputs.states, &inputs.history.ids, &inputs.history.experts}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  return inputs;
}

torch::Tensor StatePredictor::score(const RoutedText& text) const {
  const torch::NoGradGuard no_grad;
  const StateInputs inputs = visible_inputs(*this, text, reads_history(), device());
  return logits(values_, inputs, torch::kFloat32).transpose(0, 1).contiguous().cpu();
}

std::unique_ptr<TrainingTask> StatePredictor::make_task(const FitInputs& inputs) {
  StateRows::Options options{.device = inputs.environment.device,
                             .gate_weights = needs_gate_weights(),
                             .history = reads_history()};
  StateRows rows(geometry(), lead(), options);
  options.gate_weights = false;
  StateRows validation(geometry(), lead(), options);
  if (inputs.stream == nullptr) {
    rows.read(inputs.corpus, trace::Split::kTrain);
    validation.read(inputs.corpus, trace::Split::kValidation);
    if (rows.num_tokens() == 0) {
      throw DataError(
          fmt::format("{}: no text of the training split has features; collect more texts or a "
                      "larger --record features:FRACTION",
                      inputs.corpus.name()));
    }
  }
  const auto logits_of = [this](const NamedTensors& parameters, const StateInputs& batch,
                                torch::ScalarType dtype) {
    return logits(parameters, batch, dtype);
  };
  return std::make_unique<StreamedTask<StateRows>>(std::move(rows), std::move(validation),
                                                   logits_of, inputs, *trainer_settings());
}

}  // namespace foregate::predict
