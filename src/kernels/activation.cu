#include "kernels/activation.h"
#include "kernels/silu.cuh"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsPerBlock = kThreads / 32;

// Rows go down the grid's x, pieces of a row along its y.
template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    silu_product_kernel(const T* __restrict__ gate_up, const float* __restrict__ row_scale,
                        T* __restrict__ out, int inner) {
  using Pack = Vector<T, kSize>;
  const int64_t row = blockIdx.x;
  const int packs = inner / kSize;
  const auto* gates = reinterpret_cast<const Pack*>(gate_up + row * 2 * inner);
  const auto* ups = reinterpret_cast<const Pack*>(gate_up + row * 2 * inner + inner);
  auto* result = reinterpret_cast<Pack*>(out + row * inner);
  const float scale = row_scale == nullptr ? 1.0F : row_scale[row];
  for (int p = static_cast<int>(threadIdx.x); p < packs; p += static_cast<int>(blockDim.x)) {
    Pack gate = gates[p];
    const Pack up = ups[p];
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      gate.values[i] =
          from_float<T>(silu(to_float(gate.values[i])) * to_float(up.values[i]) * scale);
    }
    result[p] = gate;
  }
}

// A warp a row.
template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    sigmoid_gate_kernel(const T* __restrict__ x, const T* __restrict__ weight,
                        float* __restrict__ gate, int64_t rows, int hidden) {
  using Pack = Vector<T, kSize>;
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / 32;
  if (row >= rows) return;
  const auto* values = reinterpret_cast<const Pack*>(x + row * hidden);
  const auto* weights = reinterpret_cast<const Pack*>(weight);
  float sum = 0;
#pragma unroll 4
  for (int p = static_cast<int>(threadIdx.x) % 32; p < hidden / kSize; p += 32) {
    const Pack a = values[p];
    const Pack b = weights[p];
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum += to_float(a.values[i]) * to_float(b.values[i]);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) gate[row] = 1.0F / (1.0F + expf(-sum));
}

// A whole number of warps that leaves few threads without a vector in the last round.
unsigned threads_for(int64_t packs) {
  const int64_t rounds = (packs + kThreads - 1) / kThreads;
  const int64_t threads = (packs + rounds - 1) / rounds;
  return static_cast<unsigned>((threads + 31) / 32 * 32);
}

template <typename T>
cudaError_t launch_silu(const void* gate_up, const float* row_scale, void* out, int64_t rows,
                        int64_t inner, cudaStream_t stream) {
  const bool wide = is_wide<T>(gate_up, inner) && is_wide<T>(out, inner);
  const auto kernel = wide ? silu_product_kernel<T, kWideSize<T>> : silu_product_kernel<T, 1>;
  const unsigned threads = threads_for(wide ? inner / kWideSize<T> : inner);
  kernel<<<static_cast<unsigned>(rows), threads, 0, stream>>>(
      static_cast<const T*>(gate_up), row_scale, static_cast<T*>(out), static_cast<int>(inner));
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_sigmoid_gate(const void* x, const void* weight, float* gate, int64_t rows,
                                int64_t hidden, cudaStream_t stream) {
  const bool wide = is_wide<T>(x, hidden) && is_wide<T>(weight, hidden);
  const auto kernel = wide ? sigmoid_gate_kernel<T, kWideSize<T>> : sigmoid_gate_kernel<T, 1>;
  const auto blocks = static_cast<unsigned>((rows + kRowsPerBlock - 1) / kRowsPerBlock);
  kernel<<<blocks, kThreads, 0, stream>>>(static_cast<const T*>(x), static_cast<const T*>(weight),
                                          gate, rows, static_cast<int>(hidden));
  return cudaGetLastError();
}

}  // namespace

cudaError_t silu_product(const void* gate_up, const float* row_scale, void* out, int64_t rows,
                         int64_t inner, DType dtype, cudaStream_t stream) {
  if (rows == 0 || inner == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch_silu<std::remove_pointer_t<decltype(type)>>(gate_up, row_scale, out, rows, inner,
                                                              stream);
  });
}

cudaError_t sigmoid_gate(const void* x, const void* weight, float* gate, int64_t rows,
                         int64_t hidden, DType dtype, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch_sigmoid_gate<std::remove_pointer_t<decltype(type)>>(x, weight, gate, rows, hidden,
                                                                      stream);
  });
}

}  // namespace foregate::kernels
