#pragma once

#include <functional>

#include "predict/counting/path_table.h"
#include "predict/predictor.h"

namespace foregate::predict {

/// `transition`: expert-to-expert co-activation between MoE layers, combined over the decisions
/// known:
///   score(b) = v log frequency(b)
///     + sum over known layers j: w(j) e(b | first choice at j) + u(j) sum over the others a: e(b |
///     a)
///     + sum over paths p: x(p) log(1 + count(p, b) / (4 P(b)))
///   with e(b | a) = log P(b | a at j) - log frequency(b)
/// for the layers l-h, l-h-1, ... up to RoutingCounts::kWindow in front of l. All weights at one
/// would be naive Bayes, which counts what the layers repeat as if it were new. Paths know what
/// adding up single experts cannot: what tokens chose after both experts of a layer, and after
/// those of two or three layers together; see PathTable. The weights of each layer are fitted on
/// validation texts. layer-h.
class TransitionPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override { return weights_; }
  void set_weights(const NamedTensors& weights, const std::string& where) override;

  /// F, the number of weights of a layer.
  int64_t num_terms() const;

 private:
  /// Hands the evidence of one ingredient after the other to `take`, [n, E] float32 each.
  void each_term(const torch::Tensor& experts,  // [n, L, k]
                 int layer, const std::function<void(const torch::Tensor&)>& take) const;
  torch::Tensor initial_mixture() const;                          // -> [L', F]
  torch::Tensor fit_mixture(const torch::Tensor& experts) const;  // [n, L, k] -> [L', F]
  int64_t num_singles() const;  // ingredients that know of single experts

  NamedTensors weights_;
  torch::Tensor frequency_;  // [L, E] float32
  torch::Tensor evidence_;   // [L, W, E, E] float32, see pair_evidence()
  PathTable paths_;
  torch::Tensor mixture_;  // [L', F] float32
};

}  // namespace foregate::predict
