#pragma once

#include "predict/predictor.h"

namespace foregate::predict {

/// `random`: the floor under every other predictor; recall@m is m / E. Any lead.
class RandomPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override { seed_ = inputs.environment.seed; }
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override;
  void set_weights(const NamedTensors& weights, const std::string& where) override;

 private:
  uint64_t seed_ = 0;
};

}  // namespace foregate::predict
