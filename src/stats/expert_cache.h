#pragma once

#include <cstdint>
#include <vector>

#include "stats/routing_view.h"

namespace foregate::stats {

/// How often an expert that a token needs would still lie in a cache of c experts a layer, for
/// every c at once, under LRU and under Belady's optimum. Requests come token by token, a token's k
/// experts in the trace's order; every text begins with an empty cache.
///
/// Both are stack algorithms (Mattson et al. 1970): one pass keeps, for all sizes, the experts in
/// the order in which growing caches hold them. A request that finds its expert at depth d hits
/// exactly in caches of d and more. Under LRU that depth is the reuse (stack) distance: the number
/// of different experts requested since this one, itself included. Belady's optimum (1966) evicts
/// what is needed again last; no policy that fetches on demand hits more.
class ExpertCache {
 public:
  ExpertCache() = default;
  explicit ExpertCache(const trace::Geometry& geometry);

  void add(const RoutingView& routing);
  void merge(const ExpertCache& other);

  int64_t requests() const { return requests_; }  ///< Of each layer: tokens * k.
  /// Requests with this LRU depth, 1 to E.
  int64_t reuses_at(int layer, int distance) const;
  /// Requests for an expert that the text had not used before: misses of every cache.
  int64_t first_uses(int layer) const;
  /// Share of a layer's requests that hit in a cache of `size` experts. NaN without requests.
  double lru_hit_rate(int layer, int size) const;
  double optimal_hit_rate(int layer, int size) const;

 private:
  double hit_rate(const std::vector<int64_t>& depths, int layer, int size) const;
  void add_layer(const RoutingView& routing, int layer);

  int num_experts_ = 0;
  int64_t requests_ = 0;
  std::vector<int64_t> lru_;      // [L][E + 1], by depth; 0 is never before
  std::vector<int64_t> optimal_;  // [L][E + 1]
};

}  // namespace foregate::stats
