#pragma once

// Internal to trace/: routing in npy arrays [tokens, layers, k].

#include <cstdint>

#include "trace/import/npy.h"
#include "trace/import/routing_block.h"

namespace foregate::trace {

/// Throws DataError unless the array is of integers [tokens, layers, k] that a model can have.
void require_experts(const NpyArray& experts);
/// Throws DataError unless the array is of floats in the shape of `experts`.
void require_weights(const NpyArray& weights, const NpyArray& experts);

/// Rows [first, first + count) of the array, with their weights if there are weights (nullptr:
/// none). Throws DataError naming the place of an id that is no expert.
RoutingBlock read_rows(const NpyArray& experts, const NpyArray* weights, int64_t first,
                       int64_t count);

}  // namespace foregate::trace
