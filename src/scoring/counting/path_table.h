#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scoring/counting/path_evidence.h"
#include "scoring/counting/path_ids.h"
#include "scoring/lead.h"
#include "scoring/weight_file.h"
#include "trace/trace.h"

namespace foregate::scoring {

/// What training tokens chose after each path by which a token comes to a layer; see PathIds.
class PathTable {
 public:
  /// Throws DataError if the tensors do not fit each other or name experts that there are not.
  PathTable(WeightFile& weights, const trace::Geometry& geometry, const Lead& lead, int64_t window);

  const PathIds& paths() const { return paths_; }

  /// Adds what each path that is in the table says (see PathEvidence), times weight[path].
  void add(int64_t layer,
           std::span<const int64_t> pairs,  // of the known layers, latest first
           const float* frequency,          // [E]
           const float* weight,             // [num_paths()]
           float* scores) const;            // [E]

 private:
  PathIds paths_;
  int64_t num_experts_;
  PathEvidence evidence_;
};

}  // namespace foregate::scoring
