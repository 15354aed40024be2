#pragma once

#include <cstdint>

namespace foregate::nn {

/// Keys or values of one head in one page: so many rows, each `stride` behind the one before.
template <typename Scalar>
struct PageRows {
  const Scalar* first;
  int64_t count;
  int64_t stride;
  int64_t size;           ///< of a row
  const float* scales{};  ///< each row's, `scale_stride` behind the one before; null: 1
  int64_t scale_stride = 0;

  /// Multiplies a number of each row by the row's scale.
  void scale(float* numbers) const {  // [count]
    if (scales == nullptr) return;
    for (int64_t i = 0; i < count; ++i) numbers[i] *= scales[i * scale_stride];
  }
};

/// The products of a query with the rows, their scales left out, in the widest instructions that
/// this processor has. Of float, c10::BFloat16 and c10::Half, double, and int8_t.
template <typename Scalar>
void score_page(const float* query,  // [size]
                const PageRows<Scalar>& rows,
                float* scores);  // [count]

/// mixed += the sum of the rows, each times its weight, scales left out.
template <typename Scalar>
void mix_page(const float* weights,  // [count]
              const PageRows<Scalar>& rows,
              float* mixed);  // [size]

}  // namespace foregate::nn
