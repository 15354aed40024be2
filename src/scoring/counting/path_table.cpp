#include "scoring/counting/path_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "scoring/constants.h"
#include "scoring/products.h"
#include "scoring/sorted_ids.h"

namespace foregate::scoring {

PathTable::PathTable(const Weights& weights, const trace::Geometry& geometry, const Lead& lead,
                     int64_t window)
    : paths_(geometry, lead.distance, window),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      ids_(weights.id_list("path_ids")) {
  const int64_t entries = weights.size("path_experts", 1, 0);
  const auto size = static_cast<size_t>(entries);
  begin_ = {weights.long_integers("path_begin", {std::ssize(ids_) + 1}), ids_.size() + 1};
  experts_ = {weights.short_integers("path_experts", {entries}), size};
  counts_ = {weights.integers("path_counts", {entries}), size};
  check(weights);
  find_slices(geometry.num_moe_layers);
}

void PathTable::check(const Weights& weights) const {
  const bool ordered = std::is_sorted(begin_.begin(), begin_.end()) && begin_.front() == 0 &&
                       begin_.back() == std::ssize(experts_);
  const bool known = std::all_of(experts_.begin(), experts_.end(), [&](int16_t expert) {
    return expert >= 0 && expert < num_experts_;
  });
  const bool positive =
      std::all_of(counts_.begin(), counts_.end(), [](int32_t count) { return count >= 0; });
  if (ordered && known && positive) return;
  throw DataError(fmt::format(
      "{}: \"path_begin\", \"path_experts\" and \"path_counts\" do not fit each other or the {} "
      "experts of the model; train the predictor again",
      weights.where(), num_experts_));
}

void PathTable::find_slices(int64_t num_layers) {
  for (int64_t l = 0; l < num_layers; ++l) {
    for (int64_t path = 0; path <= paths_.num_paths(); ++path) {
      const auto found = std::lower_bound(ids_.begin(), ids_.end(), paths_.first_id(l, path));
      slices_.push_back(found - ids_.begin());
    }
  }
}

PathTable::Entries PathTable::find(int64_t layer, int64_t path, int64_t id) const {
  if (id < 0) return {};
  const int64_t* slice = slices_.data() + layer * (paths_.num_paths() + 1) + path;
  // Broken files need not be sorted.
  const auto first = static_cast<size_t>(slice[0]);
  const auto last = static_cast<size_t>(std::max(slice[0], slice[1]));
  const int64_t place = index_of(ids_.subspan(first, last - first), id);
  if (place < 0) return {};
  const size_t row = first + static_cast<size_t>(place);
  const auto begin = static_cast<size_t>(begin_[row]);
  const auto size = static_cast<size_t>(begin_[row + 1]) - begin;
  return {experts_.subspan(begin, size), counts_.subspan(begin, size)};
}

void PathTable::evidence(int64_t layer, std::span<const int64_t> pairs, const float* frequency,
                         float* out) const {
  std::fill_n(out, paths_.num_paths() * num_experts_, 0.0F);
  std::vector<int64_t> ids(static_cast<size_t>(paths_.num_paths()));
  paths_.number(layer, pairs, ids);
  std::vector<float> longer(frequency, frequency + num_experts_);
  std::vector<float> gains;
  for (int64_t path = 0; path < paths_.num_paths(); ++path, out += num_experts_) {
    const auto [experts, counts] = find(layer, path, ids[static_cast<size_t>(path)]);
    if (experts.empty()) continue;
    // Paths of several layers go on from the latest layer's.
    const bool goes_on = path == 0 || path >= paths_.num_singles();
    const float* prior = goes_on ? longer.data() : frequency;
    float sum = 0;
    gains.resize(experts.size());
    for (size_t i = 0; i < experts.size(); ++i) {
      const auto count = static_cast<float>(counts[i]);
      const float known = std::max(prior[experts[i]], kSmallestProbability);
      gains[i] = 1 + count / (kTablePseudoCounts * known);
      sum += count;
    }
    safe_log(gains.data(), std::ssize(gains), gains.data());
    for (size_t i = 0; i < experts.size(); ++i) out[experts[i]] = gains[i];
    if (!goes_on) continue;
    const float total = sum / static_cast<float>(top_k_) + kTablePseudoCounts;
    for (float& p : longer) p *= kTablePseudoCounts / total;
    for (size_t i = 0; i < experts.size(); ++i) {
      longer[static_cast<size_t>(experts[i])] += static_cast<float>(counts[i]) / total;
    }
  }
}

}  // namespace foregate::scoring
