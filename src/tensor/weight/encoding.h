#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/weight/quantization.h"

namespace foregate::tensor {

/// How a matrix [rows, N], or a stack of them, [E, rows, N], is kept in memory: a tensor of codes
/// and one of float32 scales, row by row. A kind is one line of the table in encoding.cpp (and one
/// of the kernels in nn/cuda/weight.cpp); everything else asks the line. What the codes mean is in
/// quantized_rows.h.
struct Encoding {
  using Shape = std::vector<int64_t>;

  Quantization kind;
  std::string_view name;
  int64_t bits;                    ///< of a code, two or more to a byte if fewer than 8; 0: dense
  int64_t block;                   ///< values of a row that share a scale; 0: all of them
  c10::ScalarType code_dtype;      ///< of the tensor of codes; Undefined: the compute dtype
  std::string_view scales_suffix;  ///< of the scales' name in a checkpoint, behind the codes'

  // On the CPU; null for dense. `scales` has row_scales() entries. Encoding returns false, with the
  // codes left undefined, if a value is not finite.
  bool (*encode_row)(const float* row, int64_t columns, std::byte* codes, float* scales);
  void (*decode_row)(const std::byte* codes, const float* scales, int64_t columns, float* row);

  bool is_dense() const { return bits == 0; }
  /// Elements of a row of codes, and scales of a row. Not for dense.
  int64_t row_codes(int64_t columns) const { return (columns * bits + 7) / 8; }
  int64_t row_scales(int64_t columns) const {
    return block == 0 ? 1 : (columns + block - 1) / block;
  }
  /// Of a matrix or stack of this shape: [..., row_codes], and [...] or [..., row_scales]. Not for
  /// dense.
  Shape codes_shape(Shape shape) const;
  Shape scales_shape(Shape shape) const;
};

/// The line of a kind.
const Encoding& encoding(Quantization kind);

}  // namespace foregate::tensor
