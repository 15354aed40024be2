#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace foregate::stats {

/// A mean with its 95% interval.
struct Interval {
  double mean = 0;
  double low = 0;
  double high = 0;

  bool operator==(const Interval&) const = default;
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
