#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace foregate::stats {

/// A mean with its 95% interval.
struct Interval {
  double mean = 0;
  double low = 0;
  double high = 0;
};

/// Sums of the prediction metrics over one text's decisions (design section 1). Additive, so that
/// intervals can be bootstrapped over texts.
struct TextScore {
  int64_t decisions = 0;
  /// Per m: sum over decisions of |top-m found| / k.
  std::vector<double> recall;
  /// Per m: number of decisions whose k experts are all in the top m.
  std::vector<double> exact_set;
  /// Per m: sum over decisions of covered gate weight / total gate weight.
  std::vector<double> gate_mass;
  std::vector<int64_t> ranks;  ///< [E] true experts found at each place of the ranking
  double top1 = 0;  ///< decisions whose highest-scored expert is the highest-weighted true one
};

/// Scores decisions of one text against the truth.
class MetricSums {
 public:
  /// `budgets` are the m of recall@m and so on, ascending, each in [k, E] or smaller than k.
  MetricSums(int num_experts, int top_k, std::vector<int> budgets);

  /// One decision. Ranks `scores` [E] largest first, ties by lowest index; NaN is an error
  /// (std::logic_error). `experts` [k] is the truth, ranked; `gate_weights` [k] or empty.
  void add(std::span<const float> scores, std::span<const uint16_t> experts,
           std::span<const float> gate_weights);
  const TextScore& score() const { return score_; }
  void reset();

 private:
  int num_experts_;
  int top_k_;
  std::vector<int> budgets_;
  TextScore score_;
  std::vector<int> ranks_;  // of the true experts among the scores
};

/// Mean over all decisions of all texts, with a percentile-bootstrap 95% interval over texts (texts
/// are drawn with replacement, each bringing its numerator and its decisions). Deterministic in
/// `seed`. A single text gives an interval equal to its mean.
Interval bootstrap_ratio(std::span<const double> numerators, std::span<const double> denominators,
                         int resamples = 1000, uint64_t seed = 0);

/// The same for several numerators of each text, over the same draws.
std::vector<Interval> bootstrap_ratios(
    std::span<const std::vector<double>> numerators,  // of each text, all of one length
    std::span<const double> denominators, int resamples = 1000, uint64_t seed = 0);

}  // namespace foregate::stats
