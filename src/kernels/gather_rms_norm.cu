#include "kernels/gather_rms_norm.h"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// A warp a row. The second pass finds the row in the first-level cache.
template <typename From, typename To, int kSize>
__global__ void __launch_bounds__(kThreads) gather_rms_norm_kernel(GatherRmsNorm rows) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (row >= rows.layers * rows.batch) return;
  const int64_t layer = row / rows.batch;
  const int64_t token = rows.tokens[row % rows.batch];
  const auto* in = reinterpret_cast<const Vector<From, kSize>*>(
      static_cast<const From*>(rows.states) + (token * rows.layers + layer) * rows.hidden);
  auto* out = reinterpret_cast<Vector<To, kSize>*>(static_cast<To*>(rows.out) + row * rows.hidden);
  const int packs = static_cast<int>(rows.hidden) / kSize;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float sum = 0;
  for (int p = lane; p < packs; p += 32) {
    const Vector<From, kSize> pack = in[p];
    for (int i = 0; i < kSize; ++i) sum += to_float(pack.values[i]) * to_float(pack.values[i]);
  }
  const float factor = rsqrtf(warp_sum(sum) / static_cast<float>(rows.hidden) + rows.epsilon);
  for (int p = lane; p < packs; p += 32) {
    const Vector<From, kSize> pack = in[p];
    Vector<To, kSize> result;
    for (int i = 0; i < kSize; ++i) {
      result.values[i] = from_float<To>(to_float(pack.values[i]) * factor);
    }
    out[p] = result;
  }
}

template <typename From, typename To>
cudaError_t launch(const GatherRmsNorm& rows, cudaStream_t stream) {
  constexpr int kSize = kWideSize<From>;
  const bool wide = is_wide<From>(rows.states, rows.hidden) &&
                    reinterpret_cast<uintptr_t>(rows.out) % sizeof(Vector<To, kSize>) == 0;
  const auto kernel =
      wide ? gather_rms_norm_kernel<From, To, kSize> : gather_rms_norm_kernel<From, To, 1>;
  const int64_t blocks = (rows.layers * rows.batch + kWarps - 1) / kWarps;
  kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(rows);
  return cudaGetLastError();
}

}  // namespace

cudaError_t gather_rms_norm(const GatherRmsNorm& rows, DType from, DType to, cudaStream_t stream) {
  if (rows.layers * rows.batch == 0) return cudaSuccess;
  return with_type(from, [&](auto* in) {
    return with_type(to, [&](auto* out) {
      return launch<std::remove_pointer_t<decltype(in)>, std::remove_pointer_t<decltype(out)>>(
          rows, stream);
    });
  });
}

}  // namespace foregate::kernels
