#pragma once

#include "predict/neural/state_predictor.h"

namespace foregate::predict {

/// `next-gate`: the target layer's own router on the state at hand, as if nothing came between: the
/// router input of layer l-h (layer-h), or the normalised residual stream in front of the attention
/// (pre-attention). Nothing is trained. (Eliseev and Mazur 2023, section 3.2.)
class NextGatePredictor : public StatePredictor {
 public:
  using StatePredictor::StatePredictor;

  void fit(const FitInputs& inputs) override;
  void set_weights(const NamedTensors& weights, const std::string& where) override;
  torch::Tensor logits(const NamedTensors& parameters, const StateInputs& inputs,
                       torch::ScalarType dtype) const override;
};

}  // namespace foregate::predict
