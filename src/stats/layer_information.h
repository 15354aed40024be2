#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stats/routing_view.h"

namespace foregate::stats {

/// What the routing at one layer tells about that at another, for the same token: counts
/// [pairs][E][E] of all pairs of layers, each of a token's k * k pairs of experts counting once.
class LayerInformation {
 public:
  /// Counts kept at most, four bytes each; models with more count a spread of their layers.
  static constexpr size_t kMaxCells = size_t{1} << 25;

  LayerInformation() = default;
  explicit LayerInformation(const trace::Geometry& geometry);

  void add(const RoutingView& routing);
  void merge(const LayerInformation& other);

  /// MoE layers that are counted, ascending: all where memory allows.
  const std::vector<int>& layers() const { return layers_; }
  /// Mutual information in bits of an expert drawn evenly from the decision at layers()[a] and one
  /// drawn evenly from that at layers()[b], a != b: sum of p(x, y) log2(p(x, y) / (p(x) p(y))). The
  /// plug-in estimate; with N tokens it is too large by at most about (E - 1)^2 / (2 N ln 2)
  /// (Miller 1955). NaN without tokens.
  double bits(size_t a, size_t b) const;

 private:
  size_t pair_index(size_t a, size_t b) const;  // a < b

  int num_experts_ = 0;
  std::vector<int> layers_;
  std::vector<uint32_t> counts_;  // [pairs][E][E]
};

}  // namespace foregate::stats
