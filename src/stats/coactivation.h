#pragma once

#include <cstdint>
#include <vector>

#include "stats/routing_view.h"

namespace foregate::stats {

/// Which experts are chosen together, by the same token at the same layer: counts [L][E][E] of
/// tokens, symmetric, with each expert's own count on the diagonal.
class Coactivation {
 public:
  /// More experts than this are not counted (memory grows with their square): counted() is false.
  static constexpr int kMaxExperts = 512;

  Coactivation() = default;
  explicit Coactivation(const trace::Geometry& geometry);

  void add(const RoutingView& routing);
  void merge(const Coactivation& other);

  bool counted() const { return !counts_.empty(); }
  int64_t tokens() const { return tokens_; }
  int64_t count(int layer, int a, int b) const;
  /// P(a and b) / (P(a) P(b)): 1 if they are chosen independently. NaN if one was never chosen.
  double lift(int layer, int a, int b) const;
  /// Pearson correlation of "a is chosen" and "b is chosen" over tokens (the phi coefficient), -1
  /// to 1; 0 if one was chosen never or always.
  double correlation(int layer, int a, int b) const;

 private:
  int num_experts_ = 0;
  int64_t tokens_ = 0;
  std::vector<int64_t> counts_;  // [L][E][E]; a <= b
};

}  // namespace foregate::stats
