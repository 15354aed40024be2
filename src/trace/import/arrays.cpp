#include "trace/import/arrays.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/half.h"
#include "trace/geometry.h"
#include "trace/import/ranking.h"

namespace foregate::trace {
void require_experts(const NpyArray& experts) {
  experts.require(/*real=*/false, 3, "integers [tokens, MoE layers, k]");
  const int64_t layers = experts.shape()[1];
  const int64_t k = experts.shape()[2];
  if (layers >= 1 && layers <= kMaxLayers && k >= 1 && k <= kMaxExperts) return;
  throw DataError(fmt::format("{}: {} MoE layers and {} experts a decision; expected 1 to {}",
                              experts.name(), layers, k, kMaxLayers));
}

void require_weights(const NpyArray& weights, const NpyArray& experts) {
  weights.require(/*real=*/true, 3, "floats [tokens, MoE layers, k]");
  if (weights.shape() == experts.shape()) return;
  throw DataError(fmt::format("{}: its shape is not that of {}; expected a weight for each expert",
                              weights.name(), experts.name()));
}

int largest_expert(const NpyArray& experts) {
  int64_t largest = 0;
  for (int64_t i = 0; i < experts.size(); ++i) {
    const int64_t expert = experts.integer(i);
    if (expert < 0 || expert >= kMaxExperts) {
      const int64_t k = experts.shape()[2];
      const int64_t decision = i / k;
      throw DataError(fmt::format("{}: expert id {} at [{}, {}, {}]; expected 0 to {}",
                                  experts.name(), expert, decision / experts.shape()[1],
                                  decision % experts.shape()[1], i % k, kMaxExperts - 1));
    }
    largest = std::max(largest, expert);
  }
  return static_cast<int>(largest);
}

void copy_routing(const NpyArray& experts, const NpyArray* weights, int64_t first, int64_t count,
                  Trace& trace) {
  const auto k = static_cast<size_t>(experts.shape()[2]);
  const int64_t width = experts.shape()[1] * experts.shape()[2];
  trace.experts.clear();
  trace.gate_weights.clear();
  for (int64_t i = first * width; i < (first + count) * width; ++i) {
    trace.experts.push_back(static_cast<uint16_t>(experts.integer(i)));
  }
  if (weights == nullptr) return;
  std::vector<float> decision(k);
  for (size_t begin = 0; begin < trace.experts.size(); begin += k) {
    for (size_t rank = 0; rank < k; ++rank) {
      decision[rank] = weights->real(first * width + static_cast<int64_t>(begin + rank));
    }
    rank_by_weight(std::span(trace.experts).subspan(begin, k), decision);
    for (const float weight : decision) trace.gate_weights.push_back(float_to_half(weight));
  }
}

}  // namespace foregate::trace
