#pragma once

#include <functional>
#include <vector>

#include "predict/counting/path_table.h"
#include "predict/counting/tables.h"
#include "predict/counting/text_memory.h"
#include "predict/predictor.h"

namespace foregate::predict {

/// `statistics`: a log-linear mixture of what counting knows,
///   score(e) = sum over ingredients i: weight(layer, i) * evidence(i, e)
/// of the frequency, the token's id (as any choice and as first choice), the id before, the experts
/// of the token before, the text so far (all tokens, those of the same id, those of the same id
/// after the same id), training tokens of the same id after the same id, and, at layer-h, the
/// experts of each known earlier layer and the paths through them. The weights of each layer are
/// fitted on validation texts: on the texts that were counted the tables look better than they are.
/// next-token, layer-h.
class StatisticsPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override { return weights_; }
  void set_weights(const NamedTensors& weights, const std::string& where) override;

  /// F, the number of ingredients at this lead.
  int64_t num_terms() const;

 private:
  /// Where a text's tokens stand in the tables and in the text itself.
  struct TokenIndices {
    torch::Tensor experts;       // [n, L, k]
    torch::Tensor slots;         // [n] of the ids
    torch::Tensor before_slots;  // [n] of the ids before; "never seen" for the first token
    torch::Tensor pairs;         // [n] of the id after the id before
    torch::Tensor same_id;       // [n] latest_alike() with span 1
    torch::Tensor same_pair;     // [n] latest_alike() with span 2
  };
  TokenIndices clues_of(const RoutedText& text) const;
  /// Hands the evidence of one ingredient after the other to `take`, [n, E] float32 each.
  void each_term(const TokenIndices& clues, int layer,
                 const std::function<void(const torch::Tensor&)>& take) const;
  torch::Tensor initial_mixture() const;  // -> [L', F]
  torch::Tensor fit_mixture(const std::vector<RoutedText>& texts) const;

  NamedTensors weights_;
  torch::Tensor frequency_;  // [L, E]
  IdTable by_id_;            // any choice, by the token's id
  IdTable first_by_id_;      // first choice, by the token's id
  IdTable by_id_before_;     // any choice, by the id before
  PairTable pairs_;
  torch::Tensor previous_;     // [L, E, E]
  torch::Tensor transitions_;  // [L, W, E, E]; undefined at next-token
  PathTable paths_;            // at layer-h
  torch::Tensor mixture_;      // [L', F]
};

}  // namespace foregate::predict
