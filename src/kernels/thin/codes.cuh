#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/thin/thin.h"

namespace foregate::kernels {

/// 16 bytes of a row's codes, as the matrix instruction takes them. Which of its columns a code
/// becomes does not matter, as long as x follows the same order: so a lane reads pieces that lie
/// together, of rows g and g + 8, and step s takes the next four codes of each.
template <MatrixCodes kKind>
struct Piece;

/// What the codes of NF4 stand for.
struct CodeValues {
  float of[16];
};

/// The same in bfloat16: the low and the high bytes of all, four a register.
struct CodePlanes {
  uint32_t low[4];
  uint32_t high[4];
};

/// Values of two codes in the low and high half of a register.
using Pair = uint32_t;

__device__ inline Pair pack_bfloat16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const Pair*>(&pair);
}

template <>
struct Piece<MatrixCodes::kBFloat16> {
  static constexpr int kValues = 8;
  __device__ static void decode(const uint4& codes, int step, float /*scale*/,
                                const float* /*table*/, Pair (&values)[2]) {
    values[0] = step == 0 ? codes.x : codes.z;
    values[1] = step == 0 ? codes.y : codes.w;
  }
};

template <>
struct Piece<MatrixCodes::kInt8> {
  static constexpr int kValues = 16;
  __device__ static void decode(const uint4& codes, int step, float /*scale*/,
                                const float* /*table*/, Pair (&values)[2]) {
    const uint32_t four = step == 0 ? codes.x : step == 1 ? codes.y : step == 2 ? codes.z : codes.w;
    values[0] = two(__byte_perm(four, 0, 0x4140));
    values[1] = two(__byte_perm(four, 0, 0x4342));
  }

 private:
  // a & b | c in one instruction: with constants the compiler takes two.
  __device__ static uint32_t and_or(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t result;
    asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
  }
  // Two codes in the low bytes of the halves. 128 + (low seven bits) - (128, or 256 if negative):
  // each of them is a bfloat16 whose last bits are the code's.
  __device__ static Pair two(uint32_t bytes) {
    const uint32_t magnitude = and_or(bytes, 0x007F007FU, 0x43004300U);
    const uint32_t offset = and_or(bytes, 0x00800080U, 0x43004300U);
    const __nv_bfloat162 value = __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&magnitude),
                                         *reinterpret_cast<const __nv_bfloat162*>(&offset));
    return *reinterpret_cast<const Pair*>(&value);
  }
};

template <>
struct Piece<MatrixCodes::kNf4> {
  static constexpr int kValues = 32;
  static constexpr int kBlock = 64;
  // Behind the end of a row codes are zeros, which stand for -1, and scales are zero. `table`: what
  // codes stand for, in shared memory.
  __device__ static void decode(const uint4& codes, int step, float scale, const float* table,
                                Pair (&values)[2]) {
    const uint32_t word = step < 2 ? codes.x : step < 4 ? codes.y : step < 6 ? codes.z : codes.w;
    const uint32_t four = step % 2 == 0 ? word : word >> 16;
    values[0] = pack_bfloat16(table[four >> 4 & 15] * scale, table[four & 15] * scale);
    values[1] = pack_bfloat16(table[four >> 12 & 15] * scale, table[four >> 8 & 15] * scale);
  }
};

/// Bytes of a row of k codes.
__host__ __device__ constexpr int64_t row_bytes(MatrixCodes kind, int64_t k) {
  return kind == MatrixCodes::kBFloat16 ? 2 * k : kind == MatrixCodes::kInt8 ? k : (k + 1) / 2;
}

/// Scales of a row of k codes that are kept by the block; 0: one a row, or none.
__host__ __device__ constexpr int64_t row_scales(MatrixCodes kind, int64_t k) {
  return kind == MatrixCodes::kNf4 ? (k + 63) / 64 : 0;
}

}  // namespace foregate::kernels
