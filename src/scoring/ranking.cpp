#include "scoring/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace foregate::scoring {
namespace {

/// A total order: without it, sorting by broken weights could run out of the array.
float sortable(float score) {
  return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
}

}  // namespace

void best_experts(std::span<const float> scores, size_t count, std::span<int32_t> order,
                  int32_t* experts) {
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(count), order.end(),
                    [&](int32_t a, int32_t b) {
                      const float left = sortable(scores[static_cast<size_t>(a)]);
                      const float right = sortable(scores[static_cast<size_t>(b)]);
                      return left > right || (left == right && a < b);
                    });
  std::copy_n(order.begin(), count, experts);
}

}  // namespace foregate::scoring
