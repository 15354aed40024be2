#include "kernels/rope.h"

#include "kernels/dependent_launch.cuh"
#include "kernels/rope.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;

// A block a token.
template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    rope_kernel(T* __restrict__ rows, const int64_t* __restrict__ positions,
                const T* __restrict__ cos, const T* __restrict__ sin, int64_t stride, int heads,
                int half) {
  using Pack = Vector<T, kSize>;
  wait_for_previous();
  let_next_begin();
  T* row = rows + blockIdx.x * stride;
  const int64_t angles = positions[blockIdx.x] * half;
  const int packs_per_half = half / kSize;
  for (int p = static_cast<int>(threadIdx.x); p < heads * packs_per_half; p += kThreads) {
    const int head = p / packs_per_half;
    const int first = (p - head * packs_per_half) * kSize;
    auto* low_place = reinterpret_cast<Pack*>(row + head * 2 * half + first);
    auto* high_place = reinterpret_cast<Pack*>(row + head * 2 * half + half + first);
    Pack low = *low_place;
    Pack high = *high_place;
    const Pack c = *reinterpret_cast<const Pack*>(cos + angles + first);
    const Pack s = *reinterpret_cast<const Pack*>(sin + angles + first);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      rotate(low.values[i], high.values[i], c.values[i], s.values[i]);
    }
    *low_place = low;
    *high_place = high;
  }
}

template <typename T>
cudaError_t launch(void* rows, const int64_t* positions, const void* cos, const void* sin,
                   int64_t tokens, int64_t stride, int64_t heads, int64_t half,
                   cudaStream_t stream) {
  const bool wide = is_wide<T>(rows, half) && is_wide<T>(rows, stride) && is_wide<T>(cos, half) &&
                    is_wide<T>(sin, half);
  const auto kernel = wide ? rope_kernel<T, kWideSize<T>> : rope_kernel<T, 1>;
  return launch_early(kernel, {static_cast<unsigned>(tokens), kThreads}, stream,
                      static_cast<T*>(rows), positions, static_cast<const T*>(cos),
                      static_cast<const T*>(sin), stride, static_cast<int>(heads),
                      static_cast<int>(half));
}

}  // namespace

cudaError_t rope(void* rows, const int64_t* positions, const void* cos, const void* sin,
                 int64_t tokens, int64_t stride, int64_t heads, int64_t half, DType dtype,
                 cudaStream_t stream) {
  if (tokens == 0 || heads == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch<std::remove_pointer_t<decltype(type)>>(rows, positions, cos, sin, tokens, stride,
                                                         heads, half, stream);
  });
}

}  // namespace foregate::kernels
