#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scoring/counting/path_ids.h"
#include "scoring/lead.h"
#include "scoring/weights.h"
#include "trace/trace.h"

namespace foregate::scoring {

/// What training tokens chose after each path by which a token comes to a layer (see PathIds):
/// sparse, of each path the experts that were chosen.
class PathTable {
 public:
  /// Throws DataError if the tensors do not fit each other or name experts that there are not.
  PathTable(const Weights& weights, const trace::Geometry& geometry, const Lead& lead,
            int64_t window);

  const PathIds& paths() const { return paths_; }

  /// What each path adds to the probability P known without it; zeros for one that is not in the
  /// table:
  ///   log Q(e) - log P(e) - log 4 / (n + 4) = log(1 + count(e) / (4 P(e)))
  ///   Q(e) = (count(e) + 4 P(e)) / (n + 4),   n: tokens that came by the path
  /// with the frequency for P, or Q of the path that is one layer shorter, if there is one.
  void evidence(int64_t layer,
                std::span<const int64_t> pairs,  // of the known layers, latest first
                const float* frequency,          // [E], of the layer
                float* out) const;               // [num_paths()][E]

 private:
  struct Entries {
    std::span<const int16_t> experts;
    std::span<const int32_t> counts;
  };
  /// Nothing for a path that was never seen.
  Entries find(int64_t layer, int64_t path, int64_t id) const;
  void check(const Weights& weights) const;
  void find_slices(int64_t num_layers);

  PathIds paths_;
  int64_t num_experts_;
  int64_t top_k_;
  std::span<const int64_t> ids_;      // [P], ascending
  std::span<const int64_t> begin_;    // [P + 1]
  std::span<const int16_t> experts_;  // [M]
  std::span<const int32_t> counts_;   // [M]
  /// [L][num_paths() + 1] where a layer's ids of each kind of path begin: a short list to search.
  std::vector<int64_t> slices_;
};

}  // namespace foregate::scoring
