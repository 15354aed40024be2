#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// Where the gate weight goes: its sum by expert [L][E] and by rank [L][k]. Traces without gate
/// weights (imports) add nothing.
class GateMass {
 public:
  GateMass() = default;
  explicit GateMass(const trace::Geometry& geometry);

  void add(const trace::Trace& trace);
  void merge(const GateMass& other);

  int64_t tokens() const { return tokens_; }  ///< Tokens that had gate weights.
  double mass(int layer, int expert) const;
  /// Share of a layer's gate weight that `expert` got. NaN if there was none.
  double share(int layer, int expert) const;
  /// Mean gate weight of the expert at `rank` (0 = largest). NaN without tokens.
  double mean_of_rank(int layer, int rank) const;

 private:
  int num_layers_ = 0;
  int num_experts_ = 0;
  int top_k_ = 0;
  int64_t tokens_ = 0;
  std::vector<double> by_expert_;  // [L][E]
  std::vector<double> by_rank_;    // [L][k]
};

}  // namespace foregate::stats
