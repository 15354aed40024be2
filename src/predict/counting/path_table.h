#pragma once

#include <torch/types.h>

#include <string>

#include "predict/predictor.h"
#include "scoring/counting/path_evidence.h"
#include "scoring/counting/path_ids.h"

namespace foregate::predict {

/// What training tokens chose after each path (see PathIds), sparse: paths seen twice or more, and
/// of each the experts that were chosen.
class PathTable {
 public:
  /// Paths kept in all, the most frequent of each layer.
  static constexpr int64_t kMaxPaths = 1 << 20;

  PathTable() = default;
  /// Takes "path_ids", "path_begin", "path_experts" and "path_counts" as count_paths() made them.
  /// Throws DataError naming `where` if they do not fit each other or the geometry.
  PathTable(const NamedTensors& weights, const trace::Geometry& geometry, const scoring::Lead& lead,
            const std::string& where);

  int64_t num_paths() const { return paths_.num_paths(); }

  /// What each path adds to what is known without it (see PathEvidence); zero for a path that is
  /// not in the table. -> [num_paths(), n, E] float32
  torch::Tensor evidence(const torch::Tensor& experts,    // [n, L, k] int64
                         const torch::Tensor& frequency,  // [E] float32, of the layer
                         int layer) const;

 private:
  trace::Geometry geometry_;
  scoring::PathIds paths_{geometry_, 1, 0};
  torch::Tensor ids_;               // [P] int64, ascending
  torch::Tensor begin_;             // [P + 1] int64
  torch::Tensor experts_;           // [M] int16
  torch::Tensor counts_;            // [M] int32
  scoring::PathEvidence evidence_;  // of the four
};

/// The tensors of a PathTable from decisions of training tokens, with `most` paths at most.
NamedTensors count_paths(const torch::Tensor& decisions,  // [N, L, k] int16
                         const trace::Geometry& geometry, int64_t distance,
                         int64_t most = PathTable::kMaxPaths);

}  // namespace foregate::predict
