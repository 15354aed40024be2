#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stats/routing_view.h"

namespace foregate::stats {

/// How many different experts of a layer the first n tokens of a text use, averaged over the texts
/// that have n tokens, for n = 1, 2, 3, 4, 6, 8, 12, ... (powers of two and one and a half times
/// them). Denning's working set (1968) with the window from the text's beginning.
class WorkingSet {
 public:
  WorkingSet() = default;
  explicit WorkingSet(const trace::Geometry& geometry);

  void add(const RoutingView& routing);
  void merge(const WorkingSet& other);

  /// Lengths n that at least one text reaches, ascending.
  std::vector<int> lengths() const;
  int64_t texts(size_t length_index) const { return texts_[length_index]; }
  /// Mean number of different experts; NaN without texts.
  double mean(int layer, size_t length_index) const;

 private:
  std::vector<int64_t> texts_;     // [lengths]
  std::vector<int64_t> distinct_;  // [L][lengths]
};

/// Expected number of different experts in n independent tokens that use experts as `counts` [E] of
/// `tokens` tokens do: sum over experts of 1 - (1 - count / tokens)^n. The yardstick for
/// WorkingSet.
double expected_working_set(const int64_t* counts, int num_experts, int64_t tokens, int n);

}  // namespace foregate::stats
