#include "stats/token_overlap.h"

#include <algorithm>
#include <limits>

namespace foregate {

TokenOverlap::TokenOverlap(const Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      top_k_(geometry.top_k),
      common_(static_cast<size_t>(num_layers_)) {}

void TokenOverlap::add(const Trace& trace) {
  const int32_t tokens = trace.num_tokens();
  const size_t token_width = static_cast<size_t>(num_layers_) * top_k_;
  const uint16_t* here = trace.experts.data();
  for (int32_t token = 0; token + 1 < tokens; ++token) {
    for (int layer = 0; layer < num_layers_; ++layer, here += top_k_) {
      const uint16_t* next = here + token_width;
      int common = 0;
      for (int a = 0; a < top_k_; ++a) {
        for (int b = 0; b < top_k_; ++b) common += here[a] == next[b] ? 1 : 0;
      }
      common_[static_cast<size_t>(layer)] += common;
    }
  }
  pairs_ += std::max(0, tokens - 1);
}

double TokenOverlap::share(int layer) const {
  if (pairs_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(common_[static_cast<size_t>(layer)]) /
         (static_cast<double>(pairs_) * top_k_);
}

}  // namespace foregate
