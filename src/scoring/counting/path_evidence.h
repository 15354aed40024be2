#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "scoring/counting/path_ids.h"

namespace foregate::scoring {

/// What training tokens chose after each path by which a token comes to a layer (see PathIds), as
/// predictors keep it. Refers to the tensors.
class PathEvidence {
 public:
  static constexpr float kPseudoCounts = 4;

  PathEvidence() = default;
  /// Throws DataError naming `where` if the tensors do not fit each other or the geometry.
  PathEvidence(const trace::Geometry& geometry, std::span<const int64_t> ids,  // [P], ascending
               std::span<const int64_t> begin,                                 // [P + 1]
               std::span<const int16_t> experts,                               // [M]
               std::span<const int32_t> counts,                                // [M]
               const std::string& where);

  /// Calls add(i, e, value) for each path i of a token that is in the table and each expert e that
  /// was seen behind it. The value is what the path adds to the probability P known without it:
  ///   log Q(e) - log P(e) - log 4 / (n + 4) = log(1 + count(e) / (4 P(e)))
  ///   Q(e) = (count(e) + 4 P(e)) / (n + 4),   n: tokens that came by the path
  /// with the frequency for P, or Q of the path that is one layer shorter, if there is one.
  template <typename Add>
  void visit(const PathIds& paths,
             std::span<const int64_t> ids,      // of the token, by PathIds::number
             std::span<const float> frequency,  // [E], of the layer
             const Add& add) const {
    std::vector<float> longer(frequency.begin(), frequency.end());
    for (int64_t path = 0; path < paths.num_paths(); ++path) {
      const std::ptrdiff_t row = find(ids[static_cast<size_t>(path)]);
      if (row < 0) continue;
      // Paths of several layers go on from the latest layer's.
      const bool goes_on = path == 0 || path >= paths.num_singles();
      const float* prior = goes_on ? longer.data() : frequency.data();
      const auto first = static_cast<size_t>(begin_[static_cast<size_t>(row)]);
      const auto last = static_cast<size_t>(begin_[static_cast<size_t>(row) + 1]);
      float sum = 0;
      for (size_t m = first; m < last; ++m) {
        const auto count = static_cast<float>(counts_[m]);
        const int16_t expert = experts_[m];
        add(path, expert, std::log1p(count / (kPseudoCounts * std::max(prior[expert], kSmallest))));
        sum += count;
      }
      if (!goes_on) continue;
      const float total = sum / static_cast<float>(top_k_) + kPseudoCounts;
      for (float& p : longer) p *= kPseudoCounts / total;
      for (size_t m = first; m < last; ++m) {
        longer[static_cast<size_t>(experts_[m])] += static_cast<float>(counts_[m]) / total;
      }
    }
  }

 private:
  static constexpr float kSmallest = 1e-6F;

  /// Where a path's counts stand; -1 if it was never seen.
  std::ptrdiff_t find(int64_t id) const;

  int64_t top_k_ = 0;
  std::span<const int64_t> ids_;
  std::span<const int64_t> begin_;
  std::span<const int16_t> experts_;
  std::span<const int32_t> counts_;
};

}  // namespace foregate::scoring
