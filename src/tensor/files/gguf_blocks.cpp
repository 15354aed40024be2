#include "tensor/files/gguf_blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>

#include "base/half.h"

namespace foregate::tensor {
namespace {

using Byte = uint8_t;

float half_at(const Byte* bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return half_to_float(bits);
}

constexpr int kSmallBlock = 32;

// d, then 16 bytes: value j in the low half of byte j, value j + 16 in the high one.
struct Q4_0 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 18;
  static void decode(const Byte* block, float* values) {
    const float d = half_at(block);
    const Byte* codes = block + 2;
    for (int j = 0; j < kSmallBlock / 2; ++j) {
      values[j] = d * static_cast<float>((codes[j] & 15) - 8);
      values[j + kSmallBlock / 2] = d * static_cast<float>((codes[j] >> 4) - 8);
    }
  }
};

// As Q4_0, with the fifth bits of all values in front of the codes.
struct Q5_0 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 22;
  static void decode(const Byte* block, float* values) {
    const float d = half_at(block);
    uint32_t high = 0;
    std::memcpy(&high, block + 2, sizeof(high));
    const Byte* codes = block + 6;
    const auto fifth = [&](int j) { return static_cast<int>(high >> j & 1) << 4; };
    for (int j = 0; j < kSmallBlock / 2; ++j) {
      constexpr int kHalf = kSmallBlock / 2;
      values[j] = d * static_cast<float>(((codes[j] & 15) | fifth(j)) - 16);
      values[j + kHalf] = d * static_cast<float>(((codes[j] >> 4) | fifth(j + kHalf)) - 16);
    }
  }
};

struct Q8_0 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 34;
  static void decode(const Byte* block, float* values) {
    const float d = half_at(block);
    for (int j = 0; j < kSmallBlock; ++j) {
      values[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * d;
    }
  }
};

// An exponent, and codes as Q4_0 has them. The table holds twice the values of E2M1, so that all
// are integers, and the scale is half of 2^(e - 127).
struct Mxfp4 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 17;
  static constexpr std::array<float, 16> kTable = {0, 1,  2,  3,  4,  6,  8,  12,
                                                   0, -1, -2, -3, -4, -6, -8, -12};
  static void decode(const Byte* block, float* values) {
    const uint32_t e = block[0];
    const auto d = std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
    const Byte* codes = block + 1;
    for (int j = 0; j < kSmallBlock / 2; ++j) {
      values[j] = d * kTable[codes[j] & 15];
      values[j + kSmallBlock / 2] = d * kTable[codes[j] >> 4];
    }
  }
};

constexpr int kLargeBlock = 256;

/// Scale and minimum of the eight groups of 32 in a block of Q4_K or Q5_K, six bits each in twelve
/// bytes.
struct GroupScales {
  std::array<float, 8> scale;
  std::array<float, 8> minimum;

  GroupScales(const Byte* block, const Byte* packed) {
    const float d = half_at(block);
    const float dmin = half_at(block + 2);
    for (int j = 0; j < 4; ++j) {
      set(j, d, packed[j] & 63, dmin, packed[j + 4] & 63);
      const int scale_bits = (packed[j + 8] & 15) | (packed[j] >> 2 & 48);
      const int minimum_bits = (packed[j + 8] >> 4) | (packed[j + 4] >> 2 & 48);
      set(j + 4, d, scale_bits, dmin, minimum_bits);
    }
  }

 private:
  void set(int group, float d, int scale_bits, float dmin, int minimum_bits) {
    scale[group] = d * static_cast<float>(scale_bits);
    minimum[group] = dmin * static_cast<float>(minimum_bits);
  }
};

// d, dmin, scales, then 32 bytes for two groups each: the first in the low halves.
struct Q4_K {
  static constexpr int kValues = kLargeBlock;
  static constexpr int kBytes = 144;
  static void decode(const Byte* block, float* values) {
    const GroupScales groups(block, block + 4);
    const Byte* codes = block + 16;
    for (int group = 0; group < 8; ++group) {
      const int shift = group % 2 * 4;
      for (int j = 0; j < 32; ++j) {
        const int code = codes[group / 2 * 32 + j] >> shift & 15;
        values[group * 32 + j] =
            groups.scale[group] * static_cast<float>(code) - groups.minimum[group];
      }
    }
  }
};

// As Q4_K, with 32 bytes of fifth bits in front of the codes: bit g of byte j is of value j of
// group g.
struct Q5_K {
  static constexpr int kValues = kLargeBlock;
  static constexpr int kBytes = 176;
  static void decode(const Byte* block, float* values) {
    const GroupScales groups(block, block + 4);
    const Byte* high = block + 16;
    const Byte* codes = block + 48;
    for (int group = 0; group < 8; ++group) {
      const int shift = group % 2 * 4;
      for (int j = 0; j < 32; ++j) {
        const int code = (codes[group / 2 * 32 + j] >> shift & 15) | (high[j] >> group & 1) << 4;
        values[group * 32 + j] =
            groups.scale[group] * static_cast<float>(code) - groups.minimum[group];
      }
    }
  }
};

// 128 bytes of low halves, 64 of two more bits, 16 signed scales, d. Each half of the block is four
// rows of 32 values: the low halves of 64 bytes hold rows 0 and 1, the high ones 2 and 3; the two
// bits of all four rows lie in one byte.
struct Q6_K {
  static constexpr int kValues = kLargeBlock;
  static constexpr int kBytes = 210;
  static void decode(const Byte* block, float* values) {
    const Byte* low = block;
    const Byte* high = block + 128;
    const Byte* scales = block + 192;
    const float d = half_at(block + 208);
    for (int row = 0; row < 8; ++row) {
      const int half = row / 4;
      const Byte* low_row = low + half * 64 + row % 2 * 32;
      const int low_shift = row % 4 / 2 * 4;
      const int high_shift = row % 4 * 2;
      for (int j = 0; j < 32; ++j) {
        const int code = (low_row[j] >> low_shift & 15) | (high[half * 32 + j] >> high_shift & 3)
                                                              << 4;
        const float scale = d * static_cast<float>(static_cast<int8_t>(scales[row * 2 + j / 16]));
        values[row * 32 + j] = scale * static_cast<float>(code - 32);
      }
    }
  }
};

template <typename Type>
void decode_blocks(const std::byte* blocks, int64_t num_blocks, float* values) {
  const auto* bytes = reinterpret_cast<const Byte*>(blocks);
  for (int64_t i = 0; i < num_blocks; ++i) {
    Type::decode(bytes + i * Type::kBytes, values + i * Type::kValues);
  }
}

struct Entry {
  std::string_view name;
  int values;
  int bytes;
  GgufDecoder decode;
};

template <typename Type>
constexpr Entry entry(std::string_view name) {
  return {name, Type::kValues, Type::kBytes, decode_blocks<Type>};
}

constexpr std::array kDecoders = {entry<Q4_0>("Q4_0"),  entry<Q5_0>("Q5_0"), entry<Q8_0>("Q8_0"),
                                  entry<Q4_K>("Q4_K"),  entry<Q5_K>("Q5_K"), entry<Q6_K>("Q6_K"),
                                  entry<Mxfp4>("MXFP4")};

}  // namespace

GgufDecoder find_gguf_decoder(const GgufType& type) {
  const auto* found = std::ranges::find(kDecoders, type.name, &Entry::name);
  return found == kDecoders.end() ? nullptr : found->decode;
}

std::string decoded_gguf_types() {
  std::string names;
  for (const Entry& known : kDecoders) {
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return names;
}

}  // namespace foregate::tensor
