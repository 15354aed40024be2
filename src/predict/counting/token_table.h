#pragma once

#include "predict/counting/tables.h"
#include "predict/predictor.h"

namespace foregate::predict {

/// `token-table`: P(e | id) by counts, backed off to the frequency (see IdTable). next-token.
class TokenTablePredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override { return weights_; }
  void set_weights(const NamedTensors& weights, const std::string& where) override;

 private:
  NamedTensors weights_;
  IdTable table_;
};

}  // namespace foregate::predict
