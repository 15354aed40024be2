#include "stats/coactivation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stats/sums.h"

namespace foregate::stats {

Coactivation::Coactivation(const trace::Geometry& geometry) : num_experts_(geometry.num_experts) {
  if (num_experts_ > kMaxExperts) return;
  counts_.resize(static_cast<size_t>(geometry.num_moe_layers) * num_experts_ * num_experts_);
}

void Coactivation::add(const RoutingView& routing) {
  tokens_ += routing.tokens();
  if (!counted()) return;
  const auto experts = static_cast<size_t>(num_experts_);
  for (int layer = 0; layer < routing.num_layers(); ++layer) {
    int64_t* block = counts_.data() + static_cast<size_t>(layer) * experts * experts;
    for (int token = 0; token < routing.tokens(); ++token) {
      const uint16_t* chosen = routing.decision(layer, token);
      for (int i = 0; i < routing.top_k(); ++i) {
        for (int j = i; j < routing.top_k(); ++j) {
          const auto [low, high] = std::minmax(chosen[i], chosen[j]);
          ++block[low * experts + high];
        }
      }
    }
  }
}

void Coactivation::merge(const Coactivation& other) {
  tokens_ += other.tokens_;
  add_into(counts_, other.counts_);
}

int64_t Coactivation::count(int layer, int a, int b) const {
  const auto experts = static_cast<size_t>(num_experts_);
  const auto low = static_cast<size_t>(std::min(a, b));
  const auto high = static_cast<size_t>(std::max(a, b));
  return counts_[(static_cast<size_t>(layer) * experts + low) * experts + high];
}

double Coactivation::lift(int layer, int a, int b) const {
  const auto alone =
      static_cast<double>(count(layer, a, a)) * static_cast<double>(count(layer, b, b));
  if (alone == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(count(layer, a, b)) * static_cast<double>(tokens_) / alone;
}

double Coactivation::correlation(int layer, int a, int b) const {
  const auto n = static_cast<double>(tokens_);
  const auto with_a = static_cast<double>(count(layer, a, a));
  const auto with_b = static_cast<double>(count(layer, b, b));
  const double spread = with_a * (n - with_a) * with_b * (n - with_b);
  if (spread <= 0) return 0;
  return (n * static_cast<double>(count(layer, a, b)) - with_a * with_b) / std::sqrt(spread);
}

}  // namespace foregate::stats
