#pragma once

#include <cstdint>

namespace foregate::nn {

/// Keys or values of one head in one page: so many rows, each `stride` behind the one before.
template <typename Scalar>
struct PageRows {
  const Scalar* first;
  int64_t count;
  int64_t stride;
  int64_t size;  ///< of a row
};

/// The products of a query with the rows, in the widest instructions that this processor has. Of
/// float, c10::BFloat16 and c10::Half, and double.
template <typename Scalar>
void score_page(const float* query,  // [size]
                const PageRows<Scalar>& rows,
                float* scores);  // [count]

/// mixed += the sum of the rows, each times its weight.
template <typename Scalar>
void mix_page(const float* weights,  // [count]
              const PageRows<Scalar>& rows,
              float* mixed);  // [size]

}  // namespace foregate::nn
