#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stats/evaluation/metric.h"

namespace foregate::stats {

/// Scores decisions against the truth and sums up the metrics. Additive, so that intervals can be
/// bootstrapped over texts.
class MetricSums {
 public:
  /// `budgets` are the m of recall@m and so on, ascending, each in [k, E] or smaller than k.
  MetricSums(int num_experts, int top_k, std::vector<int> budgets);

  /// One decision. Ranks `scores` [E] largest first, ties by lowest index; NaN is an error
  /// (std::logic_error). `experts` [k] is the truth, ranked; `gate_weights` [k] or empty: then
  /// there is no gate mass.
  void add(std::span<const float> scores, std::span<const uint16_t> experts,
           std::span<const float> gate_weights);
  void reset();

  int64_t decisions() const { return decisions_; }
  /// In the order of metric_keys(budgets).
  const std::vector<double>& sums() const { return sums_; }
  /// [E] true experts found at each place of the ranking.
  const std::vector<int64_t>& ranks() const { return ranks_; }

 private:
  int num_experts_;
  int top_k_;
  std::vector<int> budgets_;
  int64_t decisions_ = 0;
  std::vector<double> sums_;
  std::vector<int64_t> ranks_;
  std::vector<int> rank_of_expert_;  // [k] of the decision at hand
};

}  // namespace foregate::stats
