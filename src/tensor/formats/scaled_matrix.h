#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace foregate::tensor {

/// A matrix [rows, columns], or a stack of them, whose codes lie row by row and whose scales belong
/// to rectangles: block FP8, MXFP4, NVFP4 and what compressed-tensors writes.
///
///   value = (code - zero) * scale
///
/// in float32; of NVFP4 `scale` is itself the product or quotient of two, rounded to float32.
struct ScaledFormat {
  enum class Codes : uint8_t {
    kE4m3,       ///< a byte each: kE4m3Values
    kInt8,       ///< a byte each
    kPackedInt,  ///< `bits` each, in int32 words by row, stored as code + 2^(bits - 1)
    kE2m1,       ///< two a byte, the first in the lower half: kE2m1Values
  };
  enum class Zeros : uint8_t {
    kNone,
    kInt8,       ///< shaped as the scales
    kPackedInt,  ///< as the codes, but words hold consecutive rows: [words, scale columns]
  };
  enum class Global : uint8_t {
    kNone,
    kMultiplies,  ///< scale * global
    kDivides,     ///< scale / global
  };

  Codes codes = Codes::kE4m3;
  int64_t bits = 8;        ///< of a code
  int64_t block_rows = 1;  ///< rows that share a scale; 0: all of a matrix. The last may be fewer
  int64_t block_columns = 0;  ///< likewise
  Zeros zeros = Zeros::kNone;
  Global global = Global::kNone;

  bool operator==(const ScaledFormat&) const = default;

  /// Elements of a row of codes: bytes, or words of kPackedInt.
  int64_t row_codes(int64_t columns) const;
  int64_t scale_rows(int64_t rows) const;
  int64_t scale_columns(int64_t columns) const;
};

/// One matrix, or a stack, as stored. Any shapes of these numbers of elements.
struct ScaledTensors {
  torch::Tensor codes;   ///< of the rows that are asked for
  torch::Tensor scales;  ///< of all rows: float32, bfloat16, float16, E4M3, or E8M0 (also as uint8)
  torch::Tensor zeros;   ///< of all rows; undefined: none
  torch::Tensor global;  ///< one float32; undefined: none
};

/// Rows [first, first + count) of a stack of matrices of `rows` rows each, which are counted
/// through, dequantised: [count, columns] float32.
torch::Tensor dequantize_scaled(const ScaledTensors& tensors, const ScaledFormat& format,
                                int64_t rows, int64_t columns, int64_t first, int64_t count);

}  // namespace foregate::tensor
