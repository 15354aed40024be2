#include "stats/usage.h"

#include <limits>

#include "stats/sums.h"

namespace foregate::stats {

UsageCounts::UsageCounts(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      counts_(static_cast<size_t>(num_layers_) * num_experts_) {}

void UsageCounts::add(const trace::Trace& trace) {
  add(trace, 0, trace.num_tokens());
}

void UsageCounts::add(const trace::Trace& trace, int begin, int end) {
  const uint16_t* expert = trace.experts.data() + static_cast<size_t>(begin) * num_layers_ * top_k_;
  for (int token = begin; token < end; ++token) {
    int64_t* counts = counts_.data();
    for (int layer = 0; layer < num_layers_; ++layer, counts += num_experts_) {
      for (int rank = 0; rank < top_k_; ++rank) ++counts[*expert++];
    }
  }
  tokens_ += end - begin;
}

void UsageCounts::merge(const UsageCounts& other) {
  add_into(counts_, other.counts_);
  tokens_ += other.tokens_;
}

std::span<const int64_t> UsageCounts::layer(int layer) const {
  return std::span(counts_).subspan(static_cast<size_t>(layer) * num_experts_, num_experts_);
}

double UsageCounts::share(int layer, int expert) const {
  if (tokens_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(count(layer, expert)) / (static_cast<double>(tokens_) * top_k_);
}

}  // namespace foregate::stats
