#include "stats/routing_view.h"

#include <algorithm>
#include <bit>

namespace foregate::stats {

RoutingView::RoutingView(const trace::Geometry& geometry, const trace::Trace& trace)
    : tokens_(trace.num_tokens()),
      num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      words_((geometry.num_experts + 63) / 64),
      experts_(trace.experts.size()),
      sets_(static_cast<size_t>(num_layers_) * tokens_ * words_) {
  const uint16_t* from = trace.experts.data();
  for (int token = 0; token < tokens_; ++token) {
    for (int layer = 0; layer < num_layers_; ++layer, from += top_k_) {
      const size_t cell = static_cast<size_t>(layer) * tokens_ + token;
      std::copy_n(from, top_k_, experts_.data() + cell * top_k_);
      uint64_t* set = sets_.data() + cell * words_;
      for (int rank = 0; rank < top_k_; ++rank) set[from[rank] / 64] |= 1ULL << (from[rank] % 64);
    }
  }
}

int common_experts(const uint64_t* a, const uint64_t* b, int words) {
  int common = 0;
  for (int word = 0; word < words; ++word) common += std::popcount(a[word] & b[word]);
  return common;
}

}  // namespace foregate::stats
