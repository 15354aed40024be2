#pragma once

#include "kernels/vector.cuh"

namespace foregate::kernels {

/// Turns an element of a head and its partner in the other half. Rounded once.
template <typename T>
__device__ void rotate(T& low, T& high, T cos, T sin) {
  const float x = to_float(low);
  const float y = to_float(high);
  const float c = to_float(cos);
  const float s = to_float(sin);
  low = from_float<T>(x * c - y * s);
  high = from_float<T>(y * c + x * s);
}

}  // namespace foregate::kernels
