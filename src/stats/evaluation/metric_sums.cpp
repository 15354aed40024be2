#include "stats/evaluation/metric_sums.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace foregate::stats {
namespace {

/// How many of `scores` come before the one at `expert`: larger ones anywhere and equal ones at a
/// lower index. Two loops without branches, which the compiler vectorises: several times faster
/// than sorting, since only the places of the k true experts are needed.
int rank_of(std::span<const float> scores, size_t expert) {
  const float own = scores[expert];
  int rank = 0;
  for (size_t i = 0; i < expert; ++i) rank += scores[i] >= own ? 1 : 0;
  for (size_t i = expert + 1; i < scores.size(); ++i) rank += scores[i] > own ? 1 : 0;
  return rank;
}

void require_numbers(std::span<const float> scores) {
  int not_numbers = 0;
  for (const float score : scores) not_numbers += score != score ? 1 : 0;
  if (not_numbers > 0) throw std::logic_error("MetricSums: a predictor's score is NaN");
}

}  // namespace

MetricSums::MetricSums(int num_experts, int top_k, std::vector<int> budgets)
    : num_experts_(num_experts),
      top_k_(top_k),
      budgets_(std::move(budgets)),
      rank_of_expert_(static_cast<size_t>(top_k)) {
  const bool ascending = std::is_sorted(budgets_.begin(), budgets_.end());
  if (budgets_.empty() || !ascending || budgets_.front() < 1 || budgets_.back() > num_experts_) {
    throw std::logic_error("MetricSums: budgets must ascend within [1, num_experts]");
  }
  reset();
}

void MetricSums::reset() {
  decisions_ = 0;
  sums_.assign(metric_keys(budgets_).size(), 0);
  ranks_.assign(static_cast<size_t>(num_experts_), 0);
}

void MetricSums::add(std::span<const float> scores, std::span<const uint16_t> experts,
                     std::span<const float> gate_weights) {
  if (scores.size() != static_cast<size_t>(num_experts_) ||
      experts.size() != rank_of_expert_.size()) {
    throw std::logic_error("MetricSums: expected num_experts scores and top_k experts");
  }
  require_numbers(scores);
  for (size_t i = 0; i < experts.size(); ++i) rank_of_expert_[i] = rank_of(scores, experts[i]);

  ++decisions_;
  for (const int rank : rank_of_expert_) ++ranks_[static_cast<size_t>(rank)];
  const float total_mass = std::accumulate(gate_weights.begin(), gate_weights.end(), 0.0f);
  double* sum = sums_.data();  // in the order of metric_keys()
  for (const int budget : budgets_) {
    int found = 0;
    float mass = 0;
    for (size_t i = 0; i < rank_of_expert_.size(); ++i) {
      if (rank_of_expert_[i] >= budget) continue;
      ++found;
      if (!gate_weights.empty()) mass += gate_weights[i];
    }
    *sum++ += static_cast<double>(found) / top_k_;
    *sum++ += found == top_k_ ? 1 : 0;
    *sum++ += total_mass > 0 ? mass / total_mass : 0;
  }
  *sum += rank_of_expert_.front() == 0 ? 1 : 0;
}

}  // namespace foregate::stats
