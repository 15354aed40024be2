#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// Distribution of the gate weights by layer and rank: counts [L][k][kBins] of bins of equal width
/// over [0, 1]; what is larger falls into the last. Traces without gate weights add nothing.
class GateHistogram {
 public:
  static constexpr int kBins = 50;

  GateHistogram() = default;
  explicit GateHistogram(const trace::Geometry& geometry);

  void add(const trace::Trace& trace);
  void merge(const GateHistogram& other);

  int64_t tokens() const { return tokens_; }
  int64_t count(int layer, int rank, int bin) const;

 private:
  int num_layers_ = 0;
  int top_k_ = 0;
  int64_t tokens_ = 0;
  std::vector<int64_t> counts_;  // [L][k][kBins]
};

}  // namespace foregate::stats
