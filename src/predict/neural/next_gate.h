#pragma once

#include "predict/training/gradient_predictor.h"

namespace foregate::predict {

/// `next-gate`: the target layer's own router on the state at hand, as if nothing came between: the
/// router input of layer l-h (layer-h), or the normalised residual stream in front of the attention
/// (pre-attention). Nothing is trained. (Eliseev and Mazur 2023, section 3.2.)
class NextGatePredictor : public NeuralPredictor {
 public:
  using NeuralPredictor::NeuralPredictor;

  bool needs_features() const override { return true; }
  std::vector<ParameterSpec> parameters() const override;
  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
};

}  // namespace foregate::predict
