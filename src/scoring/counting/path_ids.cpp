#include "scoring/counting/path_ids.h"

#include <algorithm>

namespace foregate::scoring {
namespace {

constexpr int64_t kLongest = 3;
constexpr double kMaxIds = 9.2e18;  // below 2^63

}  // namespace

PathIds::PathIds(const trace::Geometry& geometry, int64_t distance, int64_t window)
    : num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      distance_(distance),
      window_(window),
      singles_(std::max<int64_t>(0, window - distance + 1)) {
  const int64_t square = num_experts_ * num_experts_;
  span_ = window_ * square;
  int64_t ids = square;
  for (int64_t length = 2; length <= std::min(kLongest, singles_); ++length) {
    const double larger =
        static_cast<double>(span_) + static_cast<double>(ids) * static_cast<double>(square);
    if (larger * static_cast<double>(geometry.num_moe_layers) >= kMaxIds) break;
    ids *= square;
    span_ += ids;
    ++joined_;
  }
}

int64_t PathIds::first_id(int64_t layer, int64_t path) const {
  const int64_t square = num_experts_ * num_experts_;
  const int64_t begin = layer * span_;
  if (path == num_paths()) return begin + span_;
  if (path < singles_) return begin + (distance_ - 1 + path) * square;
  int64_t offset = begin + window_ * square;
  int64_t count = square;
  for (int64_t i = 0; i < path - singles_; ++i) {
    count *= square;
    offset += count;
  }
  return offset;
}

void PathIds::number(int64_t layer, std::span<const int64_t> pairs, std::span<int64_t> ids) const {
  const auto pair_at = [&](int64_t i) { return pairs[static_cast<size_t>(i)]; };
  number(layer, static_cast<int64_t>(pairs.size()), pair_at, ids);
}

}  // namespace foregate::scoring
