#pragma once

#include <cstdint>
#include <span>

namespace foregate::scoring {

// Products of a matrix with some vectors, added to what is in their outputs. The matrix is read
// from memory once for all vectors. Sums are in float32; their order depends neither on the number
// of vectors nor on the processor, but processors with fused multiply-add round less often.

/// outs[t][r] += sum over c: matrix[r][c] * vectors[t][c]
void add_product(const float* matrix,  // [rows][columns]
                 int64_t rows, int64_t columns, std::span<const float* const> vectors,
                 std::span<float* const> outs);

/// outs[t][c] += sum over r: vectors[t][r] * matrix[r][c]
void add_transposed_product(const float* matrix,  // [rows][columns]
                            int64_t rows, int64_t columns, std::span<const float* const> vectors,
                            std::span<float* const> outs);

/// out[c] = sum over r: weights[r] * matrix[r][c], the rows added one after the other.
void weighted_sum(const float* matrix,  // [rows][columns]
                  int64_t rows, int64_t columns, const float* weights, float* out);

/// Logs of probabilities and other positive numbers, within 2^-22 of their size and kept finite: of
/// max(p, 0.000001). Equal probabilities have equal logs wherever they stand.
void safe_log(const float* probabilities, int64_t size, float* out);  // may be the same

}  // namespace foregate::scoring
