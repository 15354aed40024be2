#include "stats/gate_histogram.h"

#include <algorithm>

#include "base/half.h"
#include "stats/sums.h"

namespace foregate::stats {

GateHistogram::GateHistogram(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      top_k_(geometry.top_k),
      counts_(static_cast<size_t>(num_layers_) * top_k_ * kBins) {}

void GateHistogram::add(const trace::Trace& trace) {
  if (trace.gate_weights.empty()) return;
  const uint16_t* weight = trace.gate_weights.data();
  const int cells = num_layers_ * top_k_;
  for (int32_t token = 0; token < trace.num_tokens(); ++token) {
    int64_t* bins = counts_.data();
    for (int cell = 0; cell < cells; ++cell, bins += kBins) {
      const float value = std::clamp(half_to_float(*weight++), 0.0f, 1.0f);
      ++bins[std::min(static_cast<int>(value * kBins), kBins - 1)];
    }
  }
  tokens_ += trace.num_tokens();
}

void GateHistogram::merge(const GateHistogram& other) {
  tokens_ += other.tokens_;
  add_into(counts_, other.counts_);
}

int64_t GateHistogram::count(int layer, int rank, int bin) const {
  return counts_[(static_cast<size_t>(layer) * top_k_ + rank) * kBins + bin];
}

}  // namespace foregate::stats
