#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace foregate::tensor {

/// The 16 values of NF4: quantiles of the normal distribution, scaled to [-1, 1] (Dettmers et al.
/// 2023, appendix E).
inline constexpr std::array<float, 16> kNf4Values = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

/// Halfway between two NF4 values; a number at a midpoint goes to the smaller one.
constexpr std::array<float, 15> nf4_midpoints() {
  std::array<float, 15> midpoints{};
  for (size_t i = 0; i < midpoints.size(); ++i) {
    midpoints[i] = 0.5F * (kNf4Values[i] + kNf4Values[i + 1]);
  }
  return midpoints;
}

/// Values of an NF4 block; a row's last block may have fewer.
inline constexpr int64_t kNf4Block = 64;

// One row of a quantised matrix, on the CPU, as the table of encoding.cpp lists them. All
// instruction sets give the same bits.

/// scale = max |x| / 127, code = x / scale rounded to the nearest integer, halves to even. Returns
/// false, with codes left undefined, if a value is not finite.
bool encode_int8(const float* row, int64_t columns, std::byte* codes, float* scale);
/// code * scale.
void decode_int8(const std::byte* codes, const float* scale, int64_t columns, float* row);

/// By block of 64: scale = max |x|, code = the value of NF4 nearest to x / scale. Two codes a byte,
/// the first in the upper half; the byte of an odd last code has 0 as its lower half. Returns false
/// likewise.
bool encode_nf4(const float* row, int64_t columns, std::byte* codes, float* scales);
/// value of NF4 * scale.
void decode_nf4(const std::byte* codes, const float* scales, int64_t columns, float* row);

/// Rounds finite numbers to bfloat16, halves to even.
void round_to_bfloat16(const float* row, int64_t columns, uint16_t* rounded);

}  // namespace foregate::tensor
