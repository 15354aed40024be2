#pragma once

#include "predict/predictor.h"

namespace foregate {

/// `transition`: expert-to-expert co-activation between MoE layers, combined over the decisions
/// known as a naive Bayes classifier would:
///   score(b) = log frequency(b) + sum over known layers j, experts a of j: log P(b | a at j) - log
///   frequency(b)
/// with the layers l-h, l-h-1, ... up to RoutingCounts::kWindow in front of l. layer-h.
class TransitionPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override;
  void set_weights(const NamedTensors& weights, const std::string& where) override;

 private:
  torch::Tensor frequency_;  // [L, E] float32
  torch::Tensor evidence_;   // [L, W, E, E] float32, see pair_evidence()
};

}  // namespace foregate
