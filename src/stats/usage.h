#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// How often each expert was chosen: counts [L][E]. A token adds k to every layer.
class UsageCounts {
 public:
  UsageCounts() = default;
  explicit UsageCounts(const trace::Geometry& geometry);

  void add(const trace::Trace& trace);
  /// Only the tokens [begin, end) of the trace.
  void add(const trace::Trace& trace, int begin, int end);
  void merge(const UsageCounts& other);

  int num_layers() const { return num_layers_; }
  int num_experts() const { return num_experts_; }
  int64_t tokens() const { return tokens_; }        ///< Decisions made at each layer.
  std::span<const int64_t> layer(int layer) const;  ///< [E]
  int64_t count(int layer, int expert) const { return this->layer(layer)[expert]; }
  /// Share of a layer's choices that went to `expert`; they sum to 1. NaN without tokens.
  double share(int layer, int expert) const;

 private:
  int num_layers_ = 0;
  int num_experts_ = 0;
  int top_k_ = 0;
  int64_t tokens_ = 0;
  std::vector<int64_t> counts_;  // [L][E]
};

}  // namespace foregate::stats
