#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/gemm/gemm_tiles.cuh"

namespace foregate::kernels {

__device__ inline float2 load_pair(const __nv_bfloat16* place) {
  const uint32_t bits = __ldg(reinterpret_cast<const uint32_t*>(place));
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&bits));
}

/// store_row for tiles whose halves are a head each: adds the bias and turns the first half of a
/// head with the second, as far as heads are to be turned.
template <typename Sum>
__device__ void store_rotated_row(const GemmArguments& arguments, int row, int end,
                                  int first_column, const Sum& sum) {
  constexpr int kHead = static_cast<int>(kRotatedHeadSize);
  constexpr int kHalfBlocks = kHead / 2 / 8;
  const RowWriter writer(arguments, row, end, arguments.n);
  const int pair = static_cast<int>(threadIdx.x) % 4 * 2;
  // Behind the group's end any angle will do.
  const int64_t angles = (writer.inside() ? arguments.positions[row] : 0) * (kHead / 2) + pair;
#pragma unroll
  for (int first = 0; first < kHalfBlocks; first += 4) {
    float2 cos[4];
    float2 sin[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      cos[j] = load_pair(arguments.cos + angles + (first + j) * 8);
      sin[j] = load_pair(arguments.sin + angles + (first + j) * 8);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int column = first_column + half * kHead;
      if (column >= arguments.n) break;
      const bool turns = column < arguments.rotated_columns;
      uint32_t low_values[4];
      uint32_t high_values[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float2 low = sum(half, first + j);
        float2 high = sum(half, kHalfBlocks + first + j);
        if (arguments.bias != nullptr) {
          const __nv_bfloat16* bias = arguments.bias + column + (first + j) * 8 + pair;
          const float2 low_bias = load_pair(bias);
          const float2 high_bias = load_pair(bias + kHead / 2);
          low = make_float2(low.x + low_bias.x, low.y + low_bias.y);
          high = make_float2(high.x + high_bias.x, high.y + high_bias.y);
        }
        const float2 c = turns ? cos[j] : make_float2(1.0F, 1.0F);
        const float2 s = turns ? sin[j] : make_float2(0.0F, 0.0F);
        low_values[j] = pack<__nv_bfloat16>(low.x * c.x - high.x * s.x, low.y * c.y - high.y * s.y);
        high_values[j] =
            pack<__nv_bfloat16>(high.x * c.x + low.x * s.x, high.y * c.y + low.y * s.y);
      }
      writer.write(low_values, column + first * 8);
      writer.write(high_values, column + kHead / 2 + first * 8);
    }
  }
}

}  // namespace foregate::kernels
