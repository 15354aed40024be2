#pragma once

#include "predict/neural/state_predictor.h"

namespace foregate::predict {

/// `gate-mlp`: next-gate plus a trained network that also sees the token's id and the two tokens
/// before it. With z the normalised state, e the embeddings of the three ids and p what the two
/// tokens before chose at the target layer, per layer:
///   logits = W (g * z) + R e + S p + b + V silu(U z + P e + Q p + a)
/// W starts at the target's router, g at 1 (layer-h) or at the norm's weight (pre-attention), b the
/// same for all experts (see prior_logit), R, S and V at zero: training starts with next-gate's
/// ranking. layer-h, pre-attention.
class GateMlpPredictor : public StatePredictor {
 public:
  /// Reads "width" and "embedding" beside the trainer's settings.
  GateMlpPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                   const JsonReader& settings);

  std::vector<ParameterSpec> parameters() const override;
  bool reads_history() const override { return true; }
  torch::Tensor logits(const NamedTensors& parameters, const StateInputs& inputs,
                       torch::ScalarType dtype) const override;
  Settings settings() const override;

 private:
  scoring::GateMlpSizes sizes_;
};

}  // namespace foregate::predict
