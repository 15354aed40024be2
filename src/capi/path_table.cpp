#include "capi/path_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace foregate::capi {
namespace {

constexpr float kPseudoCounts = 4;
constexpr float kSmallest = 1e-6F;

}  // namespace

PathTable::PathTable(WeightFile& weights, const Geometry& geometry, const Lead& lead,
                     int64_t window)
    : paths_(geometry, lead.distance, window),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      num_rows_(weights.size("path_ids", 1, 0)),
      ids_(weights.long_integers("path_ids", {num_rows_})),
      begin_(weights.long_integers("path_begin", {num_rows_ + 1})) {
  const int64_t entries = weights.size("path_experts", 1, 0);
  experts_ = weights.short_integers("path_experts", {entries});
  counts_ = weights.integers("path_counts", {entries});
  const int64_t* end = begin_ + num_rows_ + 1;
  const bool ordered = std::is_sorted(begin_, end) && begin_[0] == 0 && end[-1] == entries;
  const bool known = std::all_of(experts_, experts_ + entries,
                                 [&](int16_t e) { return e >= 0 && e < num_experts_; });
  const bool positive = std::all_of(counts_, counts_ + entries, [](int32_t c) { return c >= 0; });
  if (ordered && known && positive) return;
  throw DataError(fmt::format(
      "{}: \"path_begin\", \"path_experts\" and \"path_counts\" do not fit each other or the {} "
      "experts of the model; train the predictor again",
      weights.where(), num_experts_));
}

int64_t PathTable::find(int64_t id) const {
  const int64_t* end = ids_ + num_rows_;
  const int64_t* found = std::lower_bound(ids_, end, id);
  return found != end && *found == id ? found - ids_ : -1;
}

void PathTable::add(int64_t layer, std::span<const int64_t> pairs, const float* frequency,
                    const float* weight, float* scores) const {
  std::vector<int64_t> ids(static_cast<size_t>(paths_.num_paths()));
  paths_.number(layer, pairs, ids);
  std::vector<float> longer(frequency, frequency + num_experts_);
  for (int64_t path = 0; path < paths_.num_paths(); ++path) {
    const int64_t row = find(ids[static_cast<size_t>(path)]);
    if (row < 0) continue;
    const bool goes_on = path == 0 || path >= paths_.num_singles();
    const float* prior = goes_on ? longer.data() : frequency;
    float sum = 0;
    for (int64_t m = begin_[row]; m < begin_[row + 1]; ++m) {
      const auto count = static_cast<float>(counts_[m]);
      const int16_t expert = experts_[m];
      scores[expert] +=
          weight[path] * std::log1p(count / (kPseudoCounts * std::max(prior[expert], kSmallest)));
      sum += count;
    }
    if (!goes_on) continue;
    const float total = sum / static_cast<float>(top_k_) + kPseudoCounts;
    for (float& p : longer) p *= kPseudoCounts / total;
    for (int64_t m = begin_[row]; m < begin_[row + 1]; ++m) {
      longer[static_cast<size_t>(experts_[m])] += static_cast<float>(counts_[m]) / total;
    }
  }
}

}  // namespace foregate::capi
