#include "tensor/weight/quantized_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

// The loops below are plain C++ that the compiler vectorises; on x86 they are compiled a second
// time for AVX2 and chosen where the program starts on a processor that has it.
#if defined(__x86_64__) && defined(__GNUC__)
#define FOREGATE_HAS_AVX2_ROWS 1
#define FOREGATE_AVX2 __attribute__((target("avx2")))
#endif
#define FOREGATE_INLINE inline __attribute__((always_inline))

namespace foregate::tensor {
namespace {

constexpr float kInt8Levels = 127.0F;
constexpr std::array<float, 15> kMidpoints = nf4_midpoints();
constexpr uint32_t kMagnitude = 0x7FFFFFFF;
constexpr uint32_t kInfinity = 0x7F800000;

// Of all bytes of two NF4 codes the two values: an eight-byte load each, where a gather would take
// two.
struct Pair {
  float first;
  float second;
};
constexpr std::array<Pair, 256> make_pairs() {
  std::array<Pair, 256> pairs{};
  for (size_t byte = 0; byte < pairs.size(); ++byte) {
    pairs[byte] = {kNf4Values[byte >> 4], kNf4Values[byte & 15]};
  }
  return pairs;
}
constexpr std::array<Pair, 256> kPairs = make_pairs();

// The largest magnitude, as bits: those of finite numbers, infinities and NaNs rise in this order.
FOREGATE_INLINE uint32_t largest_magnitude(const float* values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & kMagnitude);
  }
  return largest;
}

// Added to a number of magnitude below 2^22, 1.5 * 2^23 leaves its nearest integer in the low bits.
FOREGATE_INLINE int8_t nearest_integer(float value) {
  constexpr float kShift = 12582912.0F;
  return static_cast<int8_t>(std::bit_cast<uint32_t>(value + kShift));
}

FOREGATE_INLINE bool encode_int8_row(const float* row, int64_t columns, int8_t* codes,
                                     float* scale) {
  const uint32_t largest = largest_magnitude(row, columns);
  if (largest >= kInfinity) return false;
  *scale = std::bit_cast<float>(largest) / kInt8Levels;
  if (*scale == 0) {
    std::memset(codes, 0, static_cast<size_t>(columns));
    return true;
  }
  const float divisor = *scale;
  for (int64_t i = 0; i < columns; ++i) codes[i] = nearest_integer(row[i] / divisor);
  return true;
}

FOREGATE_INLINE void decode_int8_row(const int8_t* codes, float scale, int64_t columns,
                                     float* row) {
  for (int64_t i = 0; i < columns; ++i) row[i] = static_cast<float>(codes[i]) * scale;
}

FOREGATE_INLINE bool encode_nf4_row(const float* row, int64_t columns, uint8_t* codes,
                                    float* scales) {
  for (int64_t begin = 0; begin < columns; begin += kNf4Block) {
    const int64_t count = std::min(kNf4Block, columns - begin);
    const uint32_t largest = largest_magnitude(row + begin, count);
    if (largest >= kInfinity) return false;
    const float scale = std::bit_cast<float>(largest);
    const float divisor = scale == 0 ? 1.0F : scale;
    // Whole blocks in the inner loop, whose length is known: every compiler makes vectors of it.
    std::array<float, kNf4Block> value;
    value.fill(-std::numeric_limits<float>::infinity());  // code 0
    for (int64_t i = 0; i < count; ++i) value[i] = row[begin + i] / divisor;
    std::array<int32_t, kNf4Block> code{};
    for (const float midpoint : kMidpoints) {
      for (int64_t i = 0; i < kNf4Block; ++i) code[i] += value[i] > midpoint ? 1 : 0;
    }
    uint8_t* packed = codes + begin / 2;
    for (int64_t i = 0; i < (count + 1) / 2; ++i) {
      packed[i] = static_cast<uint8_t>(code[2 * i] << 4 | code[2 * i + 1]);
    }
    scales[begin / kNf4Block] = scale;
  }
  return true;
}

FOREGATE_INLINE void decode_nf4_row(const uint8_t* codes, const float* scales, int64_t columns,
                                    float* row) {
  for (int64_t begin = 0; begin < columns; begin += kNf4Block) {
    const int64_t count = std::min(kNf4Block, columns - begin);
    const uint8_t* packed = codes + begin / 2;
    float* values = row + begin;
    for (int64_t i = 0; i < count / 2; ++i) {
      std::memcpy(values + 2 * i, &kPairs[packed[i]], sizeof(Pair));
    }
    if (count % 2 != 0) values[count - 1] = kPairs[packed[count / 2]].first;
    const float scale = scales[begin / kNf4Block];
    for (int64_t i = 0; i < count; ++i) values[i] *= scale;
  }
}

FOREGATE_INLINE void round_row(const float* row, int64_t columns, uint16_t* rounded) {
  for (int64_t i = 0; i < columns; ++i) {
    const auto bits = std::bit_cast<uint32_t>(row[i]);
    rounded[i] = static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
  }
}

#ifdef FOREGATE_HAS_AVX2_ROWS
const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;

FOREGATE_AVX2 bool encode_int8_avx2(const float* row, int64_t columns, int8_t* codes,
                                    float* scale) {
  return encode_int8_row(row, columns, codes, scale);
}
FOREGATE_AVX2 void decode_int8_avx2(const int8_t* codes, float scale, int64_t columns, float* row) {
  decode_int8_row(codes, scale, columns, row);
}
FOREGATE_AVX2 bool encode_nf4_avx2(const float* row, int64_t columns, uint8_t* codes,
                                   float* scales) {
  return encode_nf4_row(row, columns, codes, scales);
}
FOREGATE_AVX2 void decode_nf4_avx2(const uint8_t* codes, const float* scales, int64_t columns,
                                   float* row) {
  decode_nf4_row(codes, scales, columns, row);
}
FOREGATE_AVX2 void round_avx2(const float* row, int64_t columns, uint16_t* rounded) {
  round_row(row, columns, rounded);
}
#define FOREGATE_CALL(function, ...) \
  return kHasAvx2 ? function##_avx2(__VA_ARGS__) : function##_row(__VA_ARGS__)
#else
#define FOREGATE_CALL(function, ...) return function##_row(__VA_ARGS__)
#endif

}  // namespace

bool encode_int8(const float* row, int64_t columns, std::byte* codes, float* scale) {
  FOREGATE_CALL(encode_int8, row, columns, reinterpret_cast<int8_t*>(codes), scale);
}

void decode_int8(const std::byte* codes, const float* scale, int64_t columns, float* row) {
  FOREGATE_CALL(decode_int8, reinterpret_cast<const int8_t*>(codes), *scale, columns, row);
}

bool encode_nf4(const float* row, int64_t columns, std::byte* codes, float* scales) {
  FOREGATE_CALL(encode_nf4, row, columns, reinterpret_cast<uint8_t*>(codes), scales);
}

void decode_nf4(const std::byte* codes, const float* scales, int64_t columns, float* row) {
  FOREGATE_CALL(decode_nf4, reinterpret_cast<const uint8_t*>(codes), scales, columns, row);
}

void round_to_bfloat16(const float* row, int64_t columns, uint16_t* rounded) {
  FOREGATE_CALL(round, row, columns, rounded);
}

}  // namespace foregate::tensor
