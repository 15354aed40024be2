#pragma once

#include <cstdint>
#include <span>

#include "scoring/weights.h"
#include "trace/trace.h"

namespace foregate::scoring {

/// An id after an id as one number.
inline int64_t pair_id(int64_t before, int64_t id) {
  return static_cast<int64_t>(static_cast<uint64_t>(before) << 32U) | id;
}

/// What training texts chose for an id after an id: lists of decisions, not dense counts, because
/// most pairs are seen once or twice.
class PairTable {
 public:
  /// Throws DataError if the tensors do not fit each other or name experts that there are not.
  PairTable(const Weights& weights, const trace::Geometry& geometry);

  /// Where a pair_id() stands; -1 if it was never seen.
  int64_t find(int64_t pair) const;
  /// Counts a pair's decisions at a layer. -> out [E]; returns how many decisions there are.
  int64_t count(int64_t place, int64_t layer, float* out) const;

 private:
  int64_t num_layers_;
  int64_t num_experts_;
  int64_t top_k_;
  std::span<const int64_t> ids_;  // [P], ascending
  const int64_t* begin_;          // [P + 1]
  const int16_t* experts_;        // [M][L][k]
};

}  // namespace foregate::scoring
