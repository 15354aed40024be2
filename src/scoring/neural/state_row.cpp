#include "scoring/neural/state_row.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "scoring/constants.h"

namespace foregate::scoring {
namespace {

constexpr size_t kNormLanes = 16;

float from_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U);
}

/// The caller's values may lie at any address.
template <float (*kConvert)(uint16_t)>
void convert(const void* values, size_t size, float* out) {
  const auto* bytes = static_cast<const std::byte*>(values);
  for (size_t i = 0; i < size; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + i * sizeof(bits), sizeof(bits));
    out[i] = kConvert(bits);
  }
}

float sum_of_squares(const float* row, size_t size) {
  // Independent sums, so that the compiler may use vector registers.
  std::array<float, kNormLanes> sums{};
  const size_t whole = size / kNormLanes * kNormLanes;
  for (size_t i = 0; i < whole; i += kNormLanes) {
    for (size_t lane = 0; lane < kNormLanes; ++lane) sums[lane] += row[i + lane] * row[i + lane];
  }
  float sum = 0;
  for (const float lane : sums) sum += lane;
  for (size_t i = whole; i < size; ++i) sum += row[i] * row[i];
  return sum;
}

}  // namespace

void normalize_state(const void* values, StateDtype dtype, size_t size, float* out) {
  switch (dtype) {
    case StateDtype::kFloat32:
      std::memcpy(out, values, size * sizeof(float));
      break;
    case StateDtype::kBfloat16:
      convert<from_bfloat16>(values, size, out);
      break;
    case StateDtype::kFloat16:
      convert<half_to_float>(values, size, out);
      break;
  }
  const float mean = sum_of_squares(out, size) / static_cast<float>(size);
  const float scale = 1.0F / std::sqrt(mean + kStateEpsilon);
  for (size_t i = 0; i < size; ++i) out[i] *= scale;
}

}  // namespace foregate::scoring
