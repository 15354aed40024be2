#include "stats/gate_mass.h"

#include <cstddef>
#include <limits>
#include <numeric>

#include "base/half.h"
#include "stats/sums.h"

namespace foregate::stats {

namespace {}  // namespace

GateMass::GateMass(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      by_expert_(static_cast<size_t>(num_layers_) * num_experts_),
      by_rank_(static_cast<size_t>(num_layers_) * top_k_) {}

void GateMass::add(const trace::Trace& trace) {
  if (trace.gate_weights.empty()) return;
  const uint16_t* expert = trace.experts.data();
  const uint16_t* weight = trace.gate_weights.data();
  const int32_t tokens = trace.num_tokens();
  for (int32_t token = 0; token < tokens; ++token) {
    double* by_expert = by_expert_.data();
    double* by_rank = by_rank_.data();
    for (int layer = 0; layer < num_layers_; ++layer, by_expert += num_experts_) {
      for (int rank = 0; rank < top_k_; ++rank) {
        const double value = half_to_float(*weight++);
        by_expert[*expert++] += value;
        *by_rank++ += value;
      }
    }
  }
  tokens_ += tokens;
}

void GateMass::merge(const GateMass& other) {
  tokens_ += other.tokens_;
  // Halves are multiples of 2^-24, so sums below 2^29 are exact and do not depend on the order.
  add_into(by_expert_, other.by_expert_);
  add_into(by_rank_, other.by_rank_);
}

double GateMass::mass(int layer, int expert) const {
  return by_expert_[static_cast<size_t>(layer) * num_experts_ + expert];
}

double GateMass::share(int layer, int expert) const {
  const auto first = by_expert_.begin() + static_cast<std::ptrdiff_t>(layer) * num_experts_;
  const double total = std::accumulate(first, first + num_experts_, 0.0);
  return total > 0 ? mass(layer, expert) / total : kNan;
}

double GateMass::mean_of_rank(int layer, int rank) const {
  if (tokens_ == 0) return kNan;
  return by_rank_[static_cast<size_t>(layer) * top_k_ + rank] / static_cast<double>(tokens_);
}

}  // namespace foregate::stats
