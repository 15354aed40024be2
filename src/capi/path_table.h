#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "capi/weight_file.h"
#include "predict/lead.h"
#include "predict/path_ids.h"
#include "trace/trace.h"

namespace foregate::capi {

/// What training tokens chose after each path by which a token comes to a layer; see PathIds.
class PathTable {
 public:
  /// Throws DataError if the tensors do not fit each other or name experts that there are not.
  PathTable(WeightFile& weights, const Geometry& geometry, const Lead& lead, int64_t window);

  const PathIds& paths() const { return paths_; }

  /// Adds weight[path] * log(1 + count(e) / (4 P(e))) of each path that is in the table, P being
  /// the frequency [E], or for a path of several layers what the one before it in length makes of
  /// the frequency.
  void add(int64_t layer,
           std::span<const int64_t> pairs,  // of the known layers, latest first
           const float* frequency, const float* weight, float* scores) const;

 private:
  /// Where a path's counts stand; -1 if it was never seen.
  int64_t find(int64_t id) const;

  PathIds paths_;
  int64_t num_experts_;
  int64_t top_k_;
  int64_t num_rows_;        // P
  const int64_t* ids_;      // [P], ascending
  const int64_t* begin_;    // [P + 1]
  const int16_t* experts_;  // [M]
  const int32_t* counts_;   // [M]
};

}  // namespace foregate::capi
