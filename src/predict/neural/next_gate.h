#pragma once

#include <optional>

#include "base/json.h"
#include "predict/training/gradient_predictor.h"
#include "scoring/neural/router_choice.h"

namespace foregate::predict {

/// `next-gate`: the target layer's own router on the state at hand, as if nothing came between: the
/// router input of layer l-h (layer-h), or the normalised residual stream in front of the attention
/// (pre-attention). Scores are the logits or, of routers that choose otherwise (biases, groups),
/// what they make of them. Nothing is trained. (Eliseev and Mazur 2023, section 3.2.)
class NextGatePredictor : public NeuralPredictor {
 public:
  /// Reads how the routers choose, which fit() finds out by itself.
  NextGatePredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                    const JsonReader& settings);

  bool needs_features() const override { return true; }
  std::vector<ParameterSpec> parameters() const override;
  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  Settings settings() const override;

 private:
  std::optional<scoring::RouterChoice> choice_;  ///< nothing: the highest logits
};

}  // namespace foregate::predict
