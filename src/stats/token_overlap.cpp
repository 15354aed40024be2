#include "stats/token_overlap.h"

#include <algorithm>
#include <limits>

#include "stats/sums.h"

namespace foregate::stats {

TokenOverlap::TokenOverlap(const trace::Geometry& geometry)
    : top_k_(geometry.top_k),
      common_(static_cast<size_t>(geometry.num_moe_layers) * kDistances.size()) {}

void TokenOverlap::add(const RoutingView& routing) {
  for (size_t i = 0; i < kDistances.size(); ++i) {
    const int pairs = std::max(0, routing.tokens() - kDistances[i]);
    pairs_[i] += pairs;
    for (int layer = 0; pairs > 0 && layer < routing.num_layers(); ++layer) {
      const uint64_t* here = routing.set(layer, 0);
      const uint64_t* there = routing.set(layer, kDistances[i]);
      // The sets of a layer's tokens lie one behind the other.
      common_[static_cast<size_t>(layer) * kDistances.size() + i] +=
          common_experts(here, there, pairs * routing.words());
    }
  }
}

void TokenOverlap::merge(const TokenOverlap& other) {
  add_into(common_, other.common_);
  for (size_t i = 0; i < kDistances.size(); ++i) pairs_[i] += other.pairs_[i];
}

double TokenOverlap::share(int layer, size_t distance) const {
  if (pairs_[distance] == 0) return std::numeric_limits<double>::quiet_NaN();
  const int64_t common = common_[static_cast<size_t>(layer) * kDistances.size() + distance];
  return static_cast<double>(common) / (static_cast<double>(pairs_[distance]) * top_k_);
}

}  // namespace foregate::stats
