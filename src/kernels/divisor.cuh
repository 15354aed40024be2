#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace foregate::kernels {

/// Divides small numbers, times 2^32 / divisor.
struct Divisor {
  explicit Divisor(int64_t divisor)
      : value(static_cast<int>(divisor)),
        inverse(static_cast<uint32_t>((int64_t{1} << 32) / divisor) + 1) {}

  /// Exact for number * value < 2^32.
  __device__ int divide(int number) const {
    return value == 1 ? number : static_cast<int>(__umulhi(static_cast<uint32_t>(number), inverse));
  }

  int value;
  uint32_t inverse;
};

}  // namespace foregate::kernels
