#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "trace/trace.h"

namespace foregate::scoring {

/// Numbers the paths by which a token came to a MoE layer l at lead layer-h. A path is what the
/// token chose first and second at one known layer, or at the two or three latest known ones; of
/// top-1 models the first choice counts as both. Known are the layers l-h, l-h-1, ... as far as
/// they lie at most W in front of l.
///
/// With p(j) = first * E + second at layer j, the id is l * S plus
///   (l-1-j) E^2 + p(j)                           for layer j alone,
///   W E^2 + p(l-h) E^2 + p(l-h-1)                for the latest two,
///   W E^2 + E^4 + (p(l-h) E^2 + p(l-h-1)) E^2 + p(l-h-2)   for the latest three,
/// S = W E^2 + E^4 + E^6 being one more than the largest of these. Where L * S is not below 2^63
/// paths of three layers are left out, then those of two.
class PathIds {
 public:
  PathIds(const trace::Geometry& geometry, int64_t distance, int64_t window);

  /// Paths a layer: of each known layer, latest first, then of the latest two, the latest three.
  int64_t num_paths() const { return singles_ + joined_; }
  /// Of these, the paths of one layer: W - h + 1, none if the lead looks back no further.
  int64_t num_singles() const { return singles_; }

  /// The smallest id of a layer's path i; of path num_paths(), one more than the layer's largest.
  int64_t first_id(int64_t layer, int64_t path) const;

  /// p(j) of a decision, ranked.
  template <typename Expert>
  int64_t pair(const Expert* chosen) const {
    return static_cast<int64_t>(chosen[0]) * num_experts_ +
           static_cast<int64_t>(chosen[top_k_ > 1 ? 1 : 0]);
  }

  /// All ids of a layer from the pairs of its known layers, latest first. -> `ids` [num_paths()],
  /// -1 for paths that begin before the first layer.
  void number(int64_t layer, std::span<const int64_t> pairs, std::span<int64_t> ids) const;

  /// The same from all decisions of a token.
  template <typename Expert>
  void number(int64_t layer, const Expert* decisions,  // [L][k]
              std::span<int64_t> ids) const {
    const int64_t latest = layer - distance_;
    const int64_t known = std::clamp<int64_t>(latest + 1, 0, singles_);
    number(
        layer, known, [&](int64_t i) { return pair(decisions + (latest - i) * top_k_); }, ids);
  }

 private:
  /// The same from pair_at(i), the pair of the i-th latest of `known` layers.
  template <typename PairAt>
  void number(int64_t layer, int64_t known, const PairAt& pair_at, std::span<int64_t> ids) const {
    const int64_t square = num_experts_ * num_experts_;
    const int64_t begin = layer * span_;
    std::fill(ids.begin(), ids.end(), -1);
    for (int64_t i = 0; i < known; ++i)
      ids[static_cast<size_t>(i)] = begin + (distance_ - 1 + i) * square + pair_at(i);
    int64_t offset = begin + window_ * square;
    int64_t path = known > 0 ? pair_at(0) : 0;
    int64_t count = square;
    for (int64_t i = 0; i < joined_ && i + 1 < known; ++i) {
      path = path * square + pair_at(i + 1);
      ids[static_cast<size_t>(singles_ + i)] = offset + path;
      count *= square;
      offset += count;
    }
  }

  int64_t num_experts_;
  int64_t top_k_;
  int64_t distance_;
  int64_t window_;
  int64_t singles_;
  int64_t joined_ = 0;  // paths of several layers
  int64_t span_;        // S
};

}  // namespace foregate::scoring
