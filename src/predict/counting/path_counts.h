#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "trace/trace.h"

namespace foregate::predict {

/// Paths kept in all, the most frequent of each layer.
inline constexpr int64_t kMaxPaths = 1 << 20;

/// The tensors of a scoring::PathTable from decisions of training tokens, with `most` paths at
/// most: paths seen twice or more, and of each the experts that were chosen.
std::map<std::string, torch::Tensor> count_paths(const torch::Tensor& decisions,  // [N, L, k] int16
                                                 const trace::Geometry& geometry, int64_t distance,
                                                 int64_t most = kMaxPaths);

}  // namespace foregate::predict
