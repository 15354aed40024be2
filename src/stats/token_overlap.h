#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "stats/routing_view.h"

namespace foregate::stats {

/// How much of a token's routing a later token of the same text repeats, by layer and distance d:
/// |S(t) and S(t+d)| / k, averaged over all pairs of tokens d apart.
class TokenOverlap {
 public:
  static constexpr std::array<int, 14> kDistances = {1,  2,  3,  4,  6,  8,  12,
                                                     16, 24, 32, 48, 64, 96, 128};

  TokenOverlap() = default;
  explicit TokenOverlap(const trace::Geometry& geometry);

  void add(const RoutingView& routing);
  void merge(const TokenOverlap& other);

  /// Pairs of tokens seen that are kDistances[distance] apart; the first are neighbours.
  int64_t pairs(size_t distance = 0) const { return pairs_[distance]; }
  /// Mean share of the k experts used again. NaN without pairs.
  double share(int layer, size_t distance = 0) const;

 private:
  int top_k_ = 0;
  std::array<int64_t, kDistances.size()> pairs_{};
  std::vector<int64_t> common_;  // [L][distances]
};

}  // namespace foregate::stats
