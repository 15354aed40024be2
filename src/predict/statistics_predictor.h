#pragma once

#include <vector>

#include "predict/predictor.h"
#include "predict/tables.h"

namespace foregate {

/// `statistics`: a log-linear mixture of what counting knows,
///   score(e) = sum over ingredients i: weight(layer, i) * evidence(i, e)
/// of the frequency, the token's id (as any choice and as first choice), the id before, the experts
/// of the token before and, at layer-h, the experts of each known earlier layer. The weights of
/// each layer are fitted on validation texts: on the texts that were counted the tables look better
/// than they are. next-token, layer-h.
class StatisticsPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override { return weights_; }
  void set_weights(const NamedTensors& weights, const std::string& where) override;

  /// F, the number of ingredients at this lead.
  int64_t num_ingredients() const;

 private:
  /// What every ingredient says about a text, for the layers' mixtures to weigh.
  struct Clues {
    torch::Tensor chosen;  // [n, L, E] multi-hot
    torch::Tensor before;  // [n, L, E] multi-hot of the token before; zeros for the first token
    torch::Tensor slots;   // [n] where the ids stand in the tables
    torch::Tensor before_slots;  // [n] the ids before; "never seen" for the first token
  };
  Clues clues_of(const RoutedText& text) const;
  torch::Tensor ingredients(const Clues& clues, int layer) const;  // -> [n, E, F]
  torch::Tensor initial_mixture() const;                           // -> [L', F]
  torch::Tensor fit_mixture(const std::vector<RoutedText>& texts) const;

  NamedTensors weights_;
  torch::Tensor frequency_;    // [L, E]
  IdTable by_id_;              // any choice, by the token's id
  IdTable first_by_id_;        // first choice, by the token's id
  IdTable by_id_before_;       // any choice, by the id before
  torch::Tensor previous_;     // [L, E, E]
  torch::Tensor transitions_;  // [L, W, E, E]; undefined at next-token
  torch::Tensor mixture_;      // [L', F]
};

}  // namespace foregate
