#include "kernels/rms_norm.h"

#include "kernels/dependent_launch.cuh"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
// Vectors of a row that a thread keeps between the two passes: 2 x 256 x 8 covers hidden 4096 in 16
// bits; what is longer is read again.
constexpr int kKept = 2;

// A block a row.
template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    rms_norm_kernel(const T* __restrict__ x, const T* __restrict__ weight, T* __restrict__ out,
                    int hidden, float epsilon) {
  using Pack = Vector<T, kSize>;
  __shared__ float shared[kThreads / 32];
  const int packs = hidden / kSize;
  const auto* row = reinterpret_cast<const Pack*>(x + int64_t{blockIdx.x} * hidden);
  const auto* scale = reinterpret_cast<const Pack*>(weight);
  auto* result = reinterpret_cast<Pack*>(out + int64_t{blockIdx.x} * hidden);
  wait_for_previous();
  let_next_begin();
  Pack kept[kKept];
  float sum = 0;
  const auto add = [&](const Pack& pack) {
    for (int i = 0; i < kSize; ++i) sum += to_float(pack.values[i]) * to_float(pack.values[i]);
  };
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int p = static_cast<int>(threadIdx.x) + i * kThreads;
    if (p < packs) add(kept[i] = row[p]);
  }
  for (int p = static_cast<int>(threadIdx.x) + kKept * kThreads; p < packs; p += kThreads) {
    add(row[p]);
  }
  const float factor =
      rsqrtf(block_sum<kThreads>(sum, shared) / static_cast<float>(hidden) + epsilon);
  const auto write = [&](Pack pack, int p) {
    const Pack weights = scale[p];
    for (int i = 0; i < kSize; ++i) {
      const T normed = from_float<T>(to_float(pack.values[i]) * factor);
      pack.values[i] = from_float<T>(to_float(weights.values[i]) * to_float(normed));
    }
    result[p] = pack;
  };
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const int p = static_cast<int>(threadIdx.x) + i * kThreads;
    if (p < packs) write(kept[i], p);
  }
  for (int p = static_cast<int>(threadIdx.x) + kKept * kThreads; p < packs; p += kThreads) {
    write(row[p], p);
  }
}

template <typename T>
cudaError_t launch(const void* x, const void* weight, void* out, int64_t rows, int64_t hidden,
                   float epsilon, cudaStream_t stream) {
  const bool wide = is_wide<T>(x, hidden) && is_wide<T>(weight, hidden) && is_wide<T>(out, hidden);
  const auto kernel = wide ? rms_norm_kernel<T, kWideSize<T>> : rms_norm_kernel<T, 1>;
  return launch_early(kernel, {static_cast<unsigned>(rows), kThreads}, stream,
                      static_cast<const T*>(x), static_cast<const T*>(weight), static_cast<T*>(out),
                      static_cast<int>(hidden), epsilon);
}

}  // namespace

cudaError_t rms_norm(const void* x, const void* weight, void* out, int64_t rows, int64_t hidden,
                     float epsilon, DType dtype, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch<std::remove_pointer_t<decltype(type)>>(x, weight, out, rows, hidden, epsilon,
                                                         stream);
  });
}

}  // namespace foregate::kernels
