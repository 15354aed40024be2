#pragma once

#include <torch/types.h>

#include <cstdint>

#include "predict/predictor.h"

namespace foregate::predict {

/// For each token of a text, counts at one layer over tokens that came before.
struct EarlierCounts {
  torch::Tensor tokens;   ///< [n] float32: how many are counted
  torch::Tensor experts;  ///< [n, E] float32: of these, tokens that chose e
};

/// Every earlier token of the text, the nearer the more: d places back counts kTextDecay^(d-1).
inline constexpr double kTextDecay = 0.97;
EarlierCounts all_earlier(const torch::Tensor& experts,  // [n, k] int64
                          int64_t num_experts);

/// The latest earlier token with the same id (`span` 1), or with the same id after the same id
/// (`span` 2); -1 if there is none.
torch::Tensor latest_alike(const torch::Tensor& token_ids,  // [n] int64
                           int span);                       // -> [n] int64
/// All the tokens found by following latest_alike().
EarlierCounts earlier_alike(const torch::Tensor& latest,   // [n] int64
                            const torch::Tensor& experts,  // [n, k] int64
                            int64_t num_experts);

/// Probabilities from counts, smoothed by two pseudo-counts of the prior.
torch::Tensor counted_probability(const EarlierCounts& counts,
                                  const torch::Tensor& prior);  // [n, E] or [E] -> [n, E] float32
/// Their log minus the prior's: what the counts add to it. Zero where nothing was counted.
torch::Tensor counted_evidence(const EarlierCounts& counts,
                               const torch::Tensor& prior);  // [n, E] or [E] -> [n, E] float32

/// What training texts chose for an id after an id. Kept as lists of decisions, not as dense
/// counts: most pairs are seen once or twice. At most kOccurrences of a pair are kept.
class PairTable {
 public:
  static constexpr int64_t kOccurrences = 16;
  /// Decisions kept in all, the first ones: bounds the table for large traces.
  static constexpr int64_t kMaxTokens = 1 << 20;

  PairTable() = default;
  /// Takes "pair_ids", "pair_begin" and "pair_experts" of RoutingCounts; throws DataError naming
  /// `where` if they do not fit each other or the geometry.
  PairTable(const NamedTensors& weights, const trace::Geometry& geometry, const std::string& where);

  /// Where each (id before, id) stands; -1 if it was never seen and for a text's first token.
  torch::Tensor find(const torch::Tensor& token_ids) const;  // [n] int64 -> [n] int64
  /// Decisions at one layer for the places found.
  EarlierCounts counts(const torch::Tensor& places,  // [n] int64
                       int64_t layer) const;

 private:
  torch::Tensor ids_;      // [P] int64, ascending, see pair_id()
  torch::Tensor begin_;    // [P + 1] int64
  torch::Tensor experts_;  // [M, L, k] int16
  int64_t num_experts_ = 0;
};

/// An id after an id as one number.
inline int64_t pair_id(int64_t before, int64_t id) {
  return static_cast<int64_t>(static_cast<uint64_t>(before) << 32U) | id;
}

}  // namespace foregate::predict
