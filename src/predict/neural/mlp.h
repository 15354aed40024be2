#pragma once

#include "predict/neural/state_predictor.h"

namespace foregate::predict {

/// `mlp`: one hidden layer per MoE layer on the normalised state z, from scratch, without the
/// target's router:
///   logits = V silu(U z + a) + b
/// layer-h, pre-attention.
class MlpPredictor : public StatePredictor {
 public:
  /// Reads "width" beside the trainer's settings.
  MlpPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
               const JsonReader& settings);

  std::vector<ParameterSpec> parameters() const override;
  torch::Tensor logits(const NamedTensors& parameters, const StateInputs& inputs,
                       torch::ScalarType dtype) const override;
  Settings settings() const override;

 private:
  int64_t width_;
};

}  // namespace foregate::predict
