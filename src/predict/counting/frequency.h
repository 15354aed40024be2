#pragma once

#include "predict/predictor.h"

namespace foregate::predict {

/// `frequency`: how often the training texts chose each expert of the layer. Any lead.
class FrequencyPredictor : public Predictor {
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
