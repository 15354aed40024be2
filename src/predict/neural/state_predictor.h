#pragma once

#include <memory>

#include "predict/neural/state_rows.h"
#include "predict/training/gradient_predictor.h"

namespace foregate::predict {

/// Base of the predictors that learn from hidden states, over all predictable layers at once.
class StatePredictor : public GradientPredictor {
 public:
  using GradientPredictor::GradientPredictor;

  bool needs_features() const final { return true; }
  torch::Tensor score(const RoutedText& text) const final;

  /// Whether logits() looks at StateInputs::history; without, it is left undefined.
  virtual bool reads_history() const { return false; }
  virtual torch::Tensor logits(const NamedTensors& parameters, const StateInputs& inputs,
                               torch::ScalarType dtype) const = 0;  // -> [L', n, E] float32

 protected:
  std::unique_ptr<TrainingTask> make_task(const FitInputs& inputs) final;
};

/// All tokens of a text as `predictor` looks at them, on the device. Throws DataError if the text
/// has no hidden states.
StateInputs visible_inputs(const Predictor& predictor, const RoutedText& text, bool history,
                           const torch::Device& device);

}  // namespace foregate::predict
