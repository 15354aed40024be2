#include "trace/import/ranking.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace foregate::trace {

void rank_by_weight(std::span<uint16_t> experts, std::span<float> weights) {
  if (std::is_sorted(weights.rbegin(), weights.rend())) return;
  if (!std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); })) {
    return;
  }
  // A handful of experts: insertion sort is stable and needs no memory.
  for (size_t i = 1; i < weights.size(); ++i) {
    for (size_t j = i; j > 0 && weights[j] > weights[j - 1]; --j) {
      std::swap(weights[j], weights[j - 1]);
      std::swap(experts[j], experts[j - 1]);
    }
  }
}

}  // namespace foregate::trace
