#include "base/half.h"

#include <bit>

namespace foregate {

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;   // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to or is infinity
  if (magnitude < 0x33000001u) return sign;             // rounds to zero
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  // Bits dropped from the 24-bit mantissa; more for subnormals, whose exponent is pinned at -14.
  const int shift = exponent < -14 ? 13 + (-14 - exponent) : 13;
  const uint32_t kept = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1);
  const uint32_t half = 1u << (shift - 1);
  const uint32_t rounded = kept + (rest > half || (rest == half && (kept & 1u)) ? 1 : 0);
  // A carry out of the mantissa moves into the exponent, which is what rounding up needs.
  const uint32_t biased =
      exponent < -14 ? rounded : (static_cast<uint32_t>(exponent + 14) << 10) + rounded;
  return static_cast<uint16_t>(sign | biased);
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float subnormal = static_cast<float>(mantissa) * 0x1.0p-24f;
  return sign != 0 ? -subnormal : subnormal;
}

}  // namespace foregate
