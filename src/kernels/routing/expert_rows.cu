#include "kernels/routing/routing.h"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;

// A block a token: its row is read once and written k times.
template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    dispatch_kernel(const T* __restrict__ x, const int32_t* __restrict__ slots, T* __restrict__ out,
                    int k, int hidden) {
  using Pack = Vector<T, kSize>;
  const int64_t token = blockIdx.x;
  for (int p = static_cast<int>(threadIdx.x); p < hidden / kSize; p += kThreads) {
    const Pack pack = reinterpret_cast<const Pack*>(x + token * hidden)[p];
    for (int rank = 0; rank < k; ++rank) {
      reinterpret_cast<Pack*>(out + int64_t{slots[token * k + rank]} * hidden)[p] = pack;
    }
  }
}

template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const T* __restrict__ outputs, const int32_t* __restrict__ slots,
                   const float* __restrict__ gate_weights, T* __restrict__ residual, int k,
                   int hidden) {
  using Pack = Vector<T, kSize>;
  const int64_t token = blockIdx.x;
  for (int p = static_cast<int>(threadIdx.x); p < hidden / kSize; p += kThreads) {
    auto* place = reinterpret_cast<Pack*>(residual + token * hidden) + p;
    Pack result = *place;
    float sum[kSize] = {};
#pragma unroll 4
    for (int rank = 0; rank < k; ++rank) {
      const int64_t slot = slots[token * k + rank];
      const float gate = gate_weights[token * k + rank];
      const Pack row = reinterpret_cast<const Pack*>(outputs + slot * hidden)[p];
#pragma unroll
      for (int i = 0; i < kSize; ++i) sum[i] += gate * to_float(row.values[i]);
    }
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      result.values[i] = from_float<T>(to_float(result.values[i]) + sum[i]);
    }
    *place = result;
  }
}

template <typename T>
cudaError_t launch_dispatch(const void* x, const int32_t* slots, void* out, int64_t tokens,
                            int64_t k, int64_t hidden, cudaStream_t stream) {
  const bool wide = is_wide<T>(x, hidden) && is_wide<T>(out, hidden);
  const auto kernel = wide ? dispatch_kernel<T, kWideSize<T>> : dispatch_kernel<T, 1>;
  kernel<<<static_cast<unsigned>(tokens), kThreads, 0, stream>>>(
      static_cast<const T*>(x), slots, static_cast<T*>(out), static_cast<int>(k),
      static_cast<int>(hidden));
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_combine(const void* outputs, const int32_t* slots, const float* gate_weights,
                           void* residual, int64_t tokens, int64_t k, int64_t hidden,
                           cudaStream_t stream) {
  const bool wide = is_wide<T>(outputs, hidden) && is_wide<T>(residual, hidden);
  const auto kernel = wide ? combine_kernel<T, kWideSize<T>> : combine_kernel<T, 1>;
  kernel<<<static_cast<unsigned>(tokens), kThreads, 0, stream>>>(
      static_cast<const T*>(outputs), slots, gate_weights, static_cast<T*>(residual),
      static_cast<int>(k), static_cast<int>(hidden));
  return cudaGetLastError();
}

}  // namespace

cudaError_t dispatch_rows(const void* x, const int32_t* slots, void* out, int64_t tokens, int64_t k,
                          int64_t hidden, DType dtype, cudaStream_t stream) {
  if (tokens == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch_dispatch<std::remove_pointer_t<decltype(type)>>(x, slots, out, tokens, k, hidden,
                                                                  stream);
  });
}

cudaError_t combine_rows(const void* outputs, const int32_t* slots, const float* gate_weights,
                         void* residual, int64_t tokens, int64_t k, int64_t hidden, DType dtype,
                         cudaStream_t stream) {
  if (tokens == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch_combine<std::remove_pointer_t<decltype(type)>>(
        outputs, slots, gate_weights, residual, tokens, k, hidden, stream);
  });
}

}  // namespace foregate::kernels
