#include "kernels/rms_norm.h"

#include "kernels/dependent_launch.cuh"
#include "kernels/rms_norm.cuh"

namespace foregate::kernels {
namespace {

// A block a row.
template <typename T, int kSize>
__global__ void __launch_bounds__(kNormThreads)
    rms_norm_kernel(const T* __restrict__ x, const T* __restrict__ weight, T* __restrict__ out,
                    int hidden, float epsilon) {
  __shared__ NormSums sums;
  const int64_t first = int64_t{blockIdx.x} * hidden;
  const RowNorm<T, kSize> norm(weight, hidden);
  wait_for_previous();
  let_next_begin();
  norm.run(x + first, out + first, epsilon, sums);
}

template <typename T>
cudaError_t launch(const void* x, const void* weight, void* out, int64_t rows, int64_t hidden,
                   float epsilon, cudaStream_t stream) {
  const bool wide = is_wide<T>(x, hidden) && is_wide<T>(weight, hidden) && is_wide<T>(out, hidden);
  const auto kernel = wide ? rms_norm_kernel<T, kWideSize<T>> : rms_norm_kernel<T, 1>;
  return launch_early(kernel, {static_cast<unsigned>(rows), kNormThreads}, stream,
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
