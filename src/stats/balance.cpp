#include "stats/balance.h"
#include "stats/sums.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace foregate::stats {
namespace {

double total_of(std::span<const int64_t> counts) {
  return static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
}

/// p * log2(p / q), 0 for p = 0.
double information(double p, double q) {
  return p > 0 ? p * std::log2(p / q) : 0;
}

}  // namespace

double normalized_entropy(std::span<const int64_t> counts) {
  const double total = total_of(counts);
  if (total == 0) return kNan;
  if (counts.size() == 1) return 0;
  double entropy = 0;
  for (const int64_t count : counts) {
    entropy -= information(static_cast<double>(count) / total, 1);
  }
  return std::clamp(entropy / std::log2(static_cast<double>(counts.size())), 0.0, 1.0);
}

double busiest_share(std::span<const int64_t> counts) {
  const double total = total_of(counts);
  if (total == 0) return kNan;
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) / total;
}

double coefficient_of_variation(std::span<const int64_t> counts) {
  const double total = total_of(counts);
  if (total == 0) return kNan;
  const double mean = total / static_cast<double>(counts.size());
  double squares = 0;
  for (const int64_t count : counts) squares += std::pow(static_cast<double>(count) - mean, 2);
  return std::sqrt(squares / static_cast<double>(counts.size())) / mean;
}

double gini(std::span<const int64_t> counts) {
  const double total = total_of(counts);
  if (total == 0) return kNan;
  std::vector<int64_t> ascending(counts.begin(), counts.end());
  std::sort(ascending.begin(), ascending.end());
  const auto experts = static_cast<double>(counts.size());
  double weighted = 0;
  for (size_t i = 0; i < ascending.size(); ++i)
    weighted += (2 * static_cast<double>(i + 1) - experts - 1) * static_cast<double>(ascending[i]);
  return weighted / (experts * total);
}

std::vector<double> lorenz_curve(std::span<const int64_t> counts) {
  const double total = total_of(counts);
  if (total == 0) return {};
  std::vector<int64_t> ascending(counts.begin(), counts.end());
  std::sort(ascending.begin(), ascending.end());
  std::vector<double> curve = {0};
  int64_t sum = 0;
  for (const int64_t count : ascending) {
    sum += count;
    curve.push_back(static_cast<double>(sum) / total);
  }
  return curve;
}

double jensen_shannon(std::span<const int64_t> a, std::span<const int64_t> b) {
  const double total_a = total_of(a);
  const double total_b = total_of(b);
  if (total_a == 0 || total_b == 0) return kNan;
  double divergence = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double p = static_cast<double>(a[i]) / total_a;
    const double q = static_cast<double>(b[i]) / total_b;
    const double middle = (p + q) / 2;
    divergence += (information(p, middle) + information(q, middle)) / 2;
  }
  return std::clamp(divergence, 0.0, 1.0);
}

double chance_overlap(std::span<const int64_t> counts, int top_k) {
  const double total = total_of(counts);
  if (total == 0) return kNan;
  double squares = 0;
  for (const int64_t count : counts) squares += std::pow(static_cast<double>(count) / total, 2);
  return std::min(1.0, top_k * squares);
}

}  // namespace foregate::stats
