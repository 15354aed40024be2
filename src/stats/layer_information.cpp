#include "stats/layer_information.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stats/sums.h"

namespace foregate::stats {
namespace {

/// As many layers, evenly spread, as there is room for all pairs of.
std::vector<int> counted_layers(const trace::Geometry& geometry) {
  const auto experts = static_cast<size_t>(geometry.num_experts);
  const auto all = static_cast<size_t>(std::max(0, geometry.num_moe_layers));
  size_t count = all;
  while (count > 1 && count * (count - 1) / 2 * experts * experts > LayerInformation::kMaxCells)
    --count;
  if (count < 2) return {};
  std::vector<int> layers;
  for (size_t i = 0; i < count; ++i)
    layers.push_back(static_cast<int>(i * (all - 1) / (count - 1)));
  return layers;
}

}  // namespace

LayerInformation::LayerInformation(const trace::Geometry& geometry)
    : num_experts_(geometry.num_experts),
      layers_(counted_layers(geometry)),
      counts_(layers_.empty() ? 0
                              : layers_.size() * (layers_.size() - 1) / 2 *
                                    static_cast<size_t>(num_experts_) * num_experts_) {}

size_t LayerInformation::pair_index(size_t a, size_t b) const {
  return a * layers_.size() - a * (a + 1) / 2 + (b - a - 1);
}

void LayerInformation::add(const RoutingView& routing) {
  const auto experts = static_cast<size_t>(num_experts_);
  const int k = routing.top_k();
  // Pair by pair, so that one E x E block stays in the cache for the whole text.
  for (size_t a = 0; a < layers_.size(); ++a) {
    for (size_t b = a + 1; b < layers_.size(); ++b) {
      uint32_t* block = counts_.data() + pair_index(a, b) * experts * experts;
      for (int token = 0; token < routing.tokens(); ++token) {
        const uint16_t* first = routing.decision(layers_[a], token);
        const uint16_t* second = routing.decision(layers_[b], token);
        for (int i = 0; i < k; ++i) {
          uint32_t* row = block + first[i] * experts;
          for (int j = 0; j < k; ++j) ++row[second[j]];
        }
      }
    }
  }
}

void LayerInformation::merge(const LayerInformation& other) {
  add_into(counts_, other.counts_);
}

double LayerInformation::bits(size_t a, size_t b) const {
  const auto experts = static_cast<size_t>(num_experts_);
  const uint32_t* block =
      counts_.data() + pair_index(std::min(a, b), std::max(a, b)) * experts * experts;
  std::vector<double> rows(experts);
  std::vector<double> columns(experts);
  double total = 0;
  for (size_t cell = 0; cell < experts * experts; ++cell) {
    rows[cell / experts] += block[cell];
    columns[cell % experts] += block[cell];
    total += block[cell];
  }
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  double bits = 0;
  for (size_t cell = 0; cell < experts * experts; ++cell) {
    if (block[cell] == 0) continue;
    const double count = block[cell];
    bits +=
        count / total * std::log2(count * total / (rows[cell / experts] * columns[cell % experts]));
  }
  return std::max(0.0, bits);
}

}  // namespace foregate::stats
