#include "stats/usage.h"

#include <limits>

namespace foregate {

UsageCounts::UsageCounts(const Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      counts_(static_cast<size_t>(num_layers_) * num_experts_) {}

void UsageCounts::add(const Trace& trace) {
  const uint16_t* expert = trace.experts.data();
  const int32_t tokens = trace.num_tokens();
  for (int32_t token = 0; token < tokens; ++token) {
    int64_t* counts = counts_.data();
    for (int layer = 0; layer < num_layers_; ++layer, counts += num_experts_) {
      for (int rank = 0; rank < top_k_; ++rank) ++counts[*expert++];
    }
  }
  tokens_ += tokens;
}

std::span<const int64_t> UsageCounts::layer(int layer) const {
  return std::span(counts_).subspan(static_cast<size_t>(layer) * num_experts_, num_experts_);
}

double UsageCounts::share(int layer, int expert) const {
  if (tokens_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(count(layer, expert)) / (static_cast<double>(tokens_) * top_k_);
}

}  // namespace foregate
