#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

__device__ inline float to_float(float value) {
  return value;
}
__device__ inline float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}
__device__ inline float to_float(__half value) {
  return __half2float(value);
}

template <typename T>
__device__ T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) {
  return value;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}
template <>
__device__ inline __half from_float<__half>(float value) {
  return __float2half_rn(value);
}

/// Two neighbours, at an even place.
__device__ inline float2 pair_at(const float* place) {
  return *reinterpret_cast<const float2*>(place);
}
__device__ inline float2 pair_at(const __nv_bfloat16* place) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(place));
}
__device__ inline float2 pair_at(const __half* place) {
  return __half22float2(*reinterpret_cast<const __half2*>(place));
}

/// kSize elements that are loaded and stored at once; 16 bytes wherever sizes allow.
template <typename T, int kSize>
struct alignas(sizeof(T) * kSize) Vector {
  T values[kSize];
};

template <typename T>
inline constexpr int kWideSize = 16 / static_cast<int>(sizeof(T));

/// Whether rows of `size` elements from `pointer` on can be taken 16 bytes at a time.
template <typename T>
bool is_wide(const void* pointer, int64_t size) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0 && size % kWideSize<T> == 0;
}

/// Calls `work` with a null pointer of the element type that `dtype` names.
template <typename Work>
auto with_type(DType dtype, const Work& work) {
  switch (dtype) {
    case DType::kBFloat16:
      return work(static_cast<__nv_bfloat16*>(nullptr));
    case DType::kFloat16:
      return work(static_cast<__half*>(nullptr));
    case DType::kFloat32:
      break;
  }
  return work(static_cast<float*>(nullptr));
}

__device__ inline float warp_sum(float value) {
  for (int width = 16; width > 0; width /= 2) value += __shfl_xor_sync(0xffffffffU, value, width);
  return value;
}

/// Of each lane, the sum of the lanes up to it.
__device__ inline int warp_inclusive_sum(int value) {
  for (int step = 1; step < 32; step *= 2) {
    const int below = __shfl_up_sync(0xffffffffU, value, step);
    if (static_cast<int>(threadIdx.x) % 32 >= step) value += below;
  }
  return value;
}

/// Sum over a block of kThreads threads, given to each; `shared` holds kThreads / 32 floats.
template <int kThreads>
__device__ float block_sum(float value, float* shared) {
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < kThreads / 32; ++warp) total += shared[warp];
  return total;
}

}  // namespace foregate::kernels
