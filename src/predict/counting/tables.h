#pragma once

#include <torch/types.h>

#include <string>

#include "predict/counting/routing_counts.h"
#include "predict/predictor.h"

namespace foregate::predict {

/// Share of the training tokens that chose each expert.
torch::Tensor expert_frequency(const torch::Tensor& experts,  // [L, E] int32 counts
                               int64_t tokens);               // -> [L, E] float32

/// Probabilities of the experts given a token id, backed off to the frequency:
///   P(e | id) = (count(id, e) + 4 frequency(e)) / (count(id) + 4)
/// Four pseudo-counts, as in the reference (shared/tools/reference_predictors.py).
class IdTable {
 public:
  static constexpr double kPseudoCounts = 4;

  IdTable() = default;
  IdTable(const torch::Tensor& ids,         // [S] int64, ascending
          const torch::Tensor& totals,      // [S] int32
          const torch::Tensor& counts,      // [S, L, E] int32
          const torch::Tensor& frequency);  // [L, E] float32

  /// Where each id stands in the table; S for one that was never seen.
  torch::Tensor slots(const torch::Tensor& token_ids) const;  // [n] int64 -> [n] int64
  /// P(e | id) at one layer.
  torch::Tensor probability(const torch::Tensor& slots,  // [n] int64
                            int64_t layer) const;        // -> [n, E] float32
  /// log P(e | id) - log frequency(e) at one layer: what knowing the id adds.
  torch::Tensor evidence(const torch::Tensor& slots,  // [n] int64
                         int64_t layer) const;        // -> [n, E] float32

 private:
  torch::Tensor ids_;
  torch::Tensor totals_;     // [S + 1]; the last is 0, for ids never seen
  torch::Tensor counts_;     // [S, L, E]
  torch::Tensor frequency_;  // [L, E]
};

/// log P(b | a) - log frequency(b) from co-activation counts, smoothed by eight pseudo-counts of
/// the frequency: what knowing a says about b.
torch::Tensor pair_evidence(const torch::Tensor& pairs,      // [L, ..., E, E] int32: from a to b
                            const torch::Tensor& frequency,  // [L, E] float32: of b
                            int64_t top_k);                  // -> [L, ..., E, E] float32

/// Sum of the chosen experts' rows of a table: what all of them say together.
torch::Tensor sum_rows(const torch::Tensor& table,     // [E, E] float32
                       const torch::Tensor& experts);  // [n, k] int64 -> [n, E] float32

/// log of a probability, kept finite.
torch::Tensor safe_log(const torch::Tensor& probability);

}  // namespace foregate::predict
