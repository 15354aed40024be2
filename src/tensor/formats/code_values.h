#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace foregate::tensor {

// What the codes of quantised checkpoints stand for, exact in float32.

/// FP8 E4M3 without infinities (Micikevicius et al. 2022, table 1): bias 7, 0x7F and 0xFF are NaN.
constexpr std::array<float, 256> make_e4m3_values() {
  std::array<float, 256> values{};
  for (uint32_t code = 0; code < values.size(); ++code) {
    const uint32_t sign = code >> 7 << 31;
    const uint32_t exponent = code >> 3 & 15;
    const uint32_t mantissa = code & 7;
    if (exponent == 15 && mantissa == 7) {
      values[code] = std::bit_cast<float>(sign | 0x7FC00000U);
    } else if (exponent == 0) {
      const float magnitude = static_cast<float>(mantissa) / 512.0F;
      values[code] = sign != 0 ? -magnitude : magnitude;
    } else {
      values[code] = std::bit_cast<float>(sign | (exponent + 120) << 23 | mantissa << 20);
    }
  }
  return values;
}
inline constexpr std::array<float, 256> kE4m3Values = make_e4m3_values();

/// FP4 E2M1 (OCP Microscaling Formats 1.0, section 5.3.3).
inline constexpr std::array<float, 16> kE2m1Values = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,
                                                      4.0F,  6.0F,  -0.0F, -0.5F, -1.0F, -1.5F,
                                                      -2.0F, -3.0F, -4.0F, -6.0F};

/// E8M0 (OCP Microscaling Formats 1.0, section 5.4.1): 2^(code - 127), 255 is NaN.
constexpr float e8m0_value(uint8_t code) {
  if (code == 255) return std::numeric_limits<float>::quiet_NaN();
  // 2^-127 is below the normal numbers.
  return std::bit_cast<float>(code == 0 ? 0x00400000U : static_cast<uint32_t>(code) << 23);
}

/// Code number `index` of codes of `bits` (1 to 8) that lie behind one another from the lowest bit
/// of the first word up, across words where 32 is no multiple of `bits`. Words are `stride` apart.
inline uint32_t packed_code(const int32_t* words, int64_t stride, int64_t index, int64_t bits) {
  const int64_t at = index * bits;
  const int64_t shift = at % 32;
  const int32_t* word = words + at / 32 * stride;
  uint64_t value = static_cast<uint32_t>(*word);
  if (shift + bits > 32) value |= uint64_t{static_cast<uint32_t>(word[stride])} << 32;
  return static_cast<uint32_t>(value >> shift) & ((1U << bits) - 1);
}

/// 32-bit words that so many codes take.
constexpr int64_t packed_words(int64_t codes, int64_t bits) {
  return (codes * bits + 31) / 32;
}

}  // namespace foregate::tensor
