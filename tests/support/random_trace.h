#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "base/half.h"
#include "base/random.h"
#include "trace/trace.h"

namespace foregate::stats {

inline trace::Geometry small_geometry(int num_layers, int num_experts, int top_k) {
  trace::Geometry geometry;
  geometry.num_moe_layers = num_layers;
  geometry.num_experts = num_experts;
  geometry.top_k = top_k;
  for (int layer = 0; layer < num_layers; ++layer) geometry.moe_layers.push_back(layer);
  return geometry;
}

/// A trace with the given experts [n][L][k]; gate weights 1/2, 1/4, ... by rank.
inline trace::Trace trace_of(const trace::Geometry& geometry, std::string dataset,
                             std::vector<uint16_t> experts) {
  trace::Trace trace;
  trace.dataset = std::move(dataset);
  const size_t width = static_cast<size_t>(geometry.num_moe_layers) * geometry.top_k;
  trace.token_ids.resize(experts.size() / width);
  for (size_t i = 0; i < experts.size(); ++i) {
    const auto rank = static_cast<int>(i) % geometry.top_k;
    trace.gate_weights.push_back(float_to_half(0.5f / static_cast<float>(1 << rank)));
  }
  trace.experts = std::move(experts);
  return trace;
}

/// Distinct experts for every decision, skewed to low indices.
inline trace::Trace random_trace(const trace::Geometry& geometry, std::string dataset, int tokens,
                                 Random& random) {
  std::vector<uint16_t> experts;
  for (int decision = 0; decision < tokens * geometry.num_moe_layers; ++decision) {
    const auto begin = static_cast<std::ptrdiff_t>(experts.size());
    while (static_cast<std::ptrdiff_t>(experts.size()) < begin + geometry.top_k) {
      const auto bound = 1 + random.below(static_cast<uint64_t>(geometry.num_experts));
      const auto expert = static_cast<uint16_t>(random.below(bound));
      if (std::find(experts.begin() + begin, experts.end(), expert) == experts.end())
        experts.push_back(expert);
    }
  }
  return trace_of(geometry, std::move(dataset), std::move(experts));
}

}  // namespace foregate::stats
