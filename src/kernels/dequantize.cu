#include "kernels/dequantize.h"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kBlock = 64;  // NF4 values of one scale

struct Nf4Values {
  float values[16];
};

// A thread takes kSize codes of a row and writes them in pieces of 16 bytes.
template <typename T, int kSize>
__global__ void __launch_bounds__(kThreads)
    int8_kernel(const int8_t* __restrict__ codes, const float* __restrict__ scales,
                T* __restrict__ out, int64_t count, int packs_per_row) {
  using Codes = Vector<int8_t, kSize>;
  constexpr int kOut = kSize < kWideSize<T> ? kSize : kWideSize<T>;
  const int64_t pack = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (pack >= count) return;
  const float scale = scales[pack / packs_per_row];
  const Codes in = reinterpret_cast<const Codes*>(codes)[pack];
  auto* place = reinterpret_cast<Vector<T, kOut>*>(out) + pack * (kSize / kOut);
#pragma unroll
  for (int part = 0; part < kSize / kOut; ++part) {
    Vector<T, kOut> result;
#pragma unroll
    for (int i = 0; i < kOut; ++i) {
      result.values[i] = from_float<T>(static_cast<float>(in.values[part * kOut + i]) * scale);
    }
    place[part] = result;
  }
}

// The same for kBytes bytes, two values each, of one block. The table lies in shared memory once a
// bank: lanes that look up different values never wait for each other.
template <typename T, int kBytes>
__global__ void __launch_bounds__(kThreads)
    nf4_kernel(const uint8_t* __restrict__ codes, const float* __restrict__ scales,
               const __grid_constant__ Nf4Values values, T* __restrict__ out, int64_t count,
               int packs_per_row, int blocks_per_row) {
  using Codes = Vector<uint8_t, kBytes>;
  constexpr int kOut = kWideSize<T>;
  static_assert(2 * kBytes % kOut == 0 && kBlock % (2 * kBytes) == 0);
  __shared__ float table[16][32];
  for (int i = static_cast<int>(threadIdx.x); i < 16 * 32; i += kThreads) {
    table[i / 32][i % 32] = values.values[i / 32];
  }
  __syncthreads();
  const int64_t pack = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (pack >= count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t row = pack / packs_per_row;
  const auto in_row = static_cast<int>(pack - row * packs_per_row);
  const float scale = scales[row * blocks_per_row + in_row * 2 * kBytes / kBlock];
  const Codes in = reinterpret_cast<const Codes*>(codes)[pack];
  auto* place = reinterpret_cast<Vector<T, kOut>*>(out) + pack * (2 * kBytes / kOut);
#pragma unroll
  for (int part = 0; part < 2 * kBytes / kOut; ++part) {
    Vector<T, kOut> result;
#pragma unroll
    for (int i = 0; i < kOut; i += 2) {
      const uint8_t byte = in.values[(part * kOut + i) / 2];
      result.values[i] = from_float<T>(table[byte >> 4][lane] * scale);
      result.values[i + 1] = from_float<T>(table[byte & 15][lane] * scale);
    }
    place[part] = result;
  }
}

// Any number of columns: a value a thread.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    plain_nf4_kernel(const uint8_t* __restrict__ codes, const float* __restrict__ scales,
                     const __grid_constant__ Nf4Values values, T* __restrict__ out, int64_t count,
                     int columns) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / columns;
  const auto column = static_cast<int>(i - row * columns);
  const uint8_t byte = codes[row * ((columns + 1) / 2) + column / 2];
  const int code = column % 2 == 0 ? byte >> 4 : byte & 15;
  const float scale = scales[row * ((columns + kBlock - 1) / kBlock) + column / kBlock];
  float value = 0;
#pragma unroll
  for (int v = 0; v < 16; ++v) value = code == v ? values.values[v] : value;
  out[i] = from_float<T>(value * scale);
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

template <typename T>
cudaError_t launch_int8(const int8_t* codes, const float* scales, T* out, int64_t rows,
                        int64_t columns, cudaStream_t stream) {
  constexpr int kSize = 16;
  const bool wide = is_wide<int8_t>(codes, columns) && is_wide<T>(out, columns);
  const int64_t packs_per_row = wide ? columns / kSize : columns;
  const int64_t count = rows * packs_per_row;
  const auto kernel = wide ? int8_kernel<T, kSize> : int8_kernel<T, 1>;
  kernel<<<blocks_for(count), kThreads, 0, stream>>>(codes, scales, out, count,
                                                     static_cast<int>(packs_per_row));
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_nf4(const uint8_t* codes, const float* scales, const Nf4Values& values, T* out,
                       int64_t rows, int64_t columns, cudaStream_t stream) {
  constexpr int kBytes = 8;
  const int64_t blocks_per_row = (columns + kBlock - 1) / kBlock;
  if (columns % (2 * kBytes) == 0 && reinterpret_cast<uintptr_t>(codes) % kBytes == 0 &&
      is_wide<T>(out, columns)) {
    const int64_t packs_per_row = columns / (2 * kBytes);
    const int64_t count = rows * packs_per_row;
    nf4_kernel<T, kBytes><<<blocks_for(count), kThreads, 0, stream>>>(
        codes, scales, values, out, count, static_cast<int>(packs_per_row),
        static_cast<int>(blocks_per_row));
  } else {
    const int64_t count = rows * columns;
    plain_nf4_kernel<<<blocks_for(count), kThreads, 0, stream>>>(codes, scales, values, out, count,
                                                                 static_cast<int>(columns));
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t dequantize_int8(const int8_t* codes, const float* scales, void* out, int64_t rows,
                            int64_t columns, DType dtype, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return cudaSuccess;
  return with_type(dtype, [&](auto* type) {
    return launch_int8(codes, scales, static_cast<decltype(type)>(out), rows, columns, stream);
  });
}

cudaError_t dequantize_nf4(const uint8_t* codes, const float* scales, const float* values,
                           void* out, int64_t rows, int64_t columns, DType dtype,
                           cudaStream_t stream) {
  if (rows == 0 || columns == 0) return cudaSuccess;
  Nf4Values table;
  for (int i = 0; i < 16; ++i) table.values[i] = values[i];
  return with_type(dtype, [&](auto* type) {
    return launch_nf4(codes, scales, table, static_cast<decltype(type)>(out), rows, columns,
                      stream);
  });
}

}  // namespace foregate::kernels
