#pragma once

#include <cstdint>
#include <vector>

#include "tensor/weight/weight.h"

namespace foregate::models {

/// How a stacked tensor of a checkpoint lies other than the weight that it becomes.
struct Arrangement {
  bool transposed = false;   ///< [E, N, M] instead of [E, M, N]
  bool interleaved = false;  ///< rows gate, up, gate, up, ... instead of all gates, then all ups

  bool is_none() const { return !transposed && !interleaved; }
};

/// The shape in the checkpoint of what is to have this shape.
std::vector<int64_t> stored_shape(std::vector<int64_t> shape, const Arrangement& arrangement);

/// Some of the checkpoint's first dimension, as the weight has them. Codes can be interleaved, but
/// not transposed: throws std::logic_error.
tensor::Weight rearranged(const tensor::Weight& stored,  // [n, ...]
                          const Arrangement& arrangement);

}  // namespace foregate::models
