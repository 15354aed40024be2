#pragma once

#include <cstdint>
#include <span>

#include "scoring/weights.h"
#include "trace/trace.h"

namespace foregate::scoring {

/// Counts by token id, backed off to a frequency:
///   P(e | id) = (count(id, e) + 4 frequency(e)) / (count(id) + 4)
class IdTable {
 public:
  /// Throws DataError if the tensors do not fit each other.
  IdTable(const Weights& weights, const trace::Geometry& geometry, const char* totals,
          const char* counts, const char* frequency);

  /// Where an id stands in the table; -1 for one that was never seen.
  int64_t slot(int64_t id) const;
  void probability(int64_t slot, int64_t layer, float* out) const;  // [E]

 private:
  int64_t num_layers_;
  int64_t num_experts_;
  std::span<const int64_t> ids_;  // [S], ascending
  const int32_t* totals_;         // [S]
  const int32_t* counts_;         // [S][L][E]
  const float* frequency_;        // [L][E]
};

}  // namespace foregate::scoring
