#include "stats/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "base/random.h"

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
  if (not_numbers > 0) throw std::logic_error("TextScorer: a predictor's score is NaN");
}

}  // namespace

MetricSums::MetricSums(int num_experts, int top_k, std::vector<int> budgets)
    : num_experts_(num_experts),
      top_k_(top_k),
      budgets_(std::move(budgets)),
      ranks_(static_cast<size_t>(top_k)) {
  const bool ascending = std::is_sorted(budgets_.begin(), budgets_.end());
  if (budgets_.empty() || !ascending || budgets_.front() < 1 || budgets_.back() > num_experts_) {
    throw std::logic_error("TextScorer: budgets must ascend within [1, num_experts]");
  }
  reset();
}

void MetricSums::reset() {
  score_ = TextScore();
  score_.recall.assign(budgets_.size(), 0);
  score_.exact_set.assign(budgets_.size(), 0);
  score_.gate_mass.assign(budgets_.size(), 0);
  score_.ranks.assign(static_cast<size_t>(num_experts_), 0);
}

void MetricSums::add(std::span<const float> scores, std::span<const uint16_t> experts,
                     std::span<const float> gate_weights) {
  if (scores.size() != static_cast<size_t>(num_experts_) || experts.size() != ranks_.size()) {
    throw std::logic_error("TextScorer: expected num_experts scores and top_k experts");
  }
  require_numbers(scores);
  for (size_t i = 0; i < experts.size(); ++i) ranks_[i] = rank_of(scores, experts[i]);

  ++score_.decisions;
  for (const int rank : ranks_) ++score_.ranks[static_cast<size_t>(rank)];
  if (ranks_.front() == 0) score_.top1 += 1;
  const float total_mass = std::accumulate(gate_weights.begin(), gate_weights.end(), 0.0f);
  for (size_t b = 0; b < budgets_.size(); ++b) {
    int found = 0;
    float mass = 0;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      if (ranks_[i] >= budgets_[b]) continue;
      ++found;
      if (!gate_weights.empty()) mass += gate_weights[i];
    }
    score_.recall[b] += static_cast<double>(found) / top_k_;
    score_.exact_set[b] += found == top_k_ ? 1 : 0;
    if (total_mass > 0) score_.gate_mass[b] += mass / total_mass;
  }
}

Interval bootstrap_ratio(std::span<const double> numerators, std::span<const double> denominators,
                         int resamples, uint64_t seed) {
  std::vector<std::vector<double>> texts;
  for (const double numerator : numerators) texts.push_back({numerator});
  if (texts.empty()) return {};
  return bootstrap_ratios(texts, denominators, resamples, seed).front();
}

std::vector<Interval> bootstrap_ratios(std::span<const std::vector<double>> numerators,
                                       std::span<const double> denominators, int resamples,
                                       uint64_t seed) {
  const size_t texts = numerators.size();
  if (texts == 0) return {};
  const size_t count = numerators.front().size();
  std::vector<double> sums(count);
  double denominator = 0;
  const auto add = [&](size_t text) {
    for (size_t i = 0; i < count; ++i) sums[i] += numerators[text][i];
    denominator += denominators[text];
  };
  const auto ratio = [&](size_t i) { return denominator > 0 ? sums[i] / denominator : 0.0; };
  for (size_t text = 0; text < texts; ++text) add(text);
  std::vector<Interval> intervals(count);
  for (size_t i = 0; i < count; ++i) intervals[i] = {ratio(i), ratio(i), ratio(i)};
  if (texts < 2 || resamples < 1) return intervals;

  Random random(seed);
  std::vector<std::vector<double>> means(count);
  for (int resample = 0; resample < resamples; ++resample) {
    std::fill(sums.begin(), sums.end(), 0.0);
    denominator = 0;
    for (size_t draw = 0; draw < texts; ++draw) add(random.below(texts));
    for (size_t i = 0; i < count; ++i) means[i].push_back(ratio(i));
  }
  for (size_t i = 0; i < count; ++i) {
    std::sort(means[i].begin(), means[i].end());
    const auto quantile = [&](double share) {
      const double position = share * static_cast<double>(means[i].size() - 1);
      const auto below = static_cast<size_t>(position);
      const size_t above = std::min(below + 1, means[i].size() - 1);
      return std::lerp(means[i][below], means[i][above], position - static_cast<double>(below));
    };
    intervals[i].low = quantile(0.025);
    intervals[i].high = quantile(0.975);
  }
  return intervals;
}

}  // namespace foregate::stats
