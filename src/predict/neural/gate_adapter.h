#pragma once

#include "predict/neural/state_predictor.h"

namespace foregate::predict {

/// `gate-adapter`: next-gate plus a trained correction. With z the normalised state, per layer:
///   logits = W (g * z) + B silu(A z) + b
/// W starts at the target's router, g at 1 (layer-h) or at the norm's weight (pre-attention), B and
/// b at zero: training starts exactly as good as next-gate.
/// layer-h, pre-attention.
class GateAdapterPredictor : public StatePredictor {
 public:
  /// Reads "rank" beside the trainer's settings.
  GateAdapterPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                       const JsonReader& settings);

  std::vector<ParameterSpec> parameters() const override;
  torch::Tensor logits(const NamedTensors& parameters, const StateInputs& inputs,
                       torch::ScalarType dtype) const override;
  Settings settings() const override;

 private:
  int64_t rank_;
};

}  // namespace foregate::predict
