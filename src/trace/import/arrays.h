#pragma once

// Internal to trace/: routing in npy arrays [tokens, layers, k].

#include <cstdint>
#include <string>

#include "trace/import/npy.h"
#include "trace/trace.h"

namespace foregate::trace {

/// Throws DataError unless the array is of integers [tokens, layers, k] that a model can have.
void require_experts(const NpyArray& experts);
/// Throws DataError unless the array is of floats in the shape of `experts`.
void require_weights(const NpyArray& weights, const NpyArray& experts);

/// The largest expert id. Throws DataError naming the place of one that is negative or too large.
int largest_expert(const NpyArray& experts);

/// Copies rows [first, first + count) into the trace, ranked by weight if there are weights
/// (nullptr: none).
void copy_routing(const NpyArray& experts, const NpyArray* weights, int64_t first, int64_t count,
                  Trace& trace);

}  // namespace foregate::trace
