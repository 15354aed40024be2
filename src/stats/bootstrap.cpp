#include "stats/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace foregate::stats {

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
