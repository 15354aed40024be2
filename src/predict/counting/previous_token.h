#pragma once

#include "predict/predictor.h"

namespace foregate::predict {

/// `previous-token`: the experts the token before chose at the layer, the rest by frequency. A
/// text's first token has none before it and gets the frequency alone. next-token.
class PreviousTokenPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override;
  void set_weights(const NamedTensors& weights, const std::string& where) override;

 private:
  torch::Tensor frequency_;  // [L, E] float32
};

}  // namespace foregate::predict
