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

// As Q4_0, with a minimum behind d instead of codes with a sign.
struct Q4_1 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 20;
  static void decode(const Byte* block, float* values) {
    const float d = half_at(block);
    const float minimum = half_at(block + 2);
    const Byte* codes = block + 4;
    for (int j = 0; j < kSmallBlock / 2; ++j) {
      values[j] = d * static_cast<float>(codes[j] & 15) + minimum;
      values[j + kSmallBlock / 2] = d * static_cast<float>(codes[j] >> 4) + minimum;
    }
  }
};

/// The fifth bits of all values of a small block, in four bytes.
class FifthBits {
 public:
  explicit FifthBits(const Byte* bytes) { std::memcpy(&bits_, bytes, sizeof(bits_)); }
  int of(int j) const { return static_cast<int>(bits_ >> j & 1) << 4; }

 private:
  uint32_t bits_ = 0;
};

// As Q4_0, with the fifth bits of all values in front of the codes.
struct Q5_0 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 22;
  static void decode(const Byte* block, float* values) {
    constexpr int kHalf = kSmallBlock / 2;
    const float d = half_at(block);
    const FifthBits fifth(block + 2);
    const Byte* codes = block + 6;
    for (int j = 0; j < kHalf; ++j) {
      values[j] = d * static_cast<float>(((codes[j] & 15) | fifth.of(j)) - 16);
      values[j + kHalf] = d * static_cast<float>(((codes[j] >> 4) | fifth.of(j + kHalf)) - 16);
    }
  }
};

// As Q5_0, with a minimum as in Q4_1.
struct Q5_1 {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 24;
  static void decode(const Byte* block, float* values) {
    constexpr int kHalf = kSmallBlock / 2;
    const float d = half_at(block);
    const float minimum = half_at(block + 2);
    const FifthBits fifth(block + 4);
    const Byte* codes = block + 8;
    for (int j = 0; j < kHalf; ++j) {
      values[j] = d * static_cast<float>((codes[j] & 15) | fifth.of(j)) + minimum;
      values[j + kHalf] = d * static_cast<float>((codes[j] >> 4) | fifth.of(j + kHalf)) + minimum;
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

// Codes of IQ4_NL and IQ4_XS count these values.
constexpr std::array<float, 16> kUnevenValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};

// As Q4_0, with values from a table.
struct Iq4Nl {
  static constexpr int kValues = kSmallBlock;
  static constexpr int kBytes = 18;
  static void decode(const Byte* block, float* values) {
    decode_codes(half_at(block), block + 2, values);
  }
  static void decode_codes(float scale, const Byte* codes, float* values) {
    for (int j = 0; j < kSmallBlock / 2; ++j) {
      values[j] = scale * kUnevenValues[codes[j] & 15];
      values[j + kSmallBlock / 2] = scale * kUnevenValues[codes[j] >> 4];
    }
  }
};

constexpr int kLargeBlock = 256;

// d, then for eight groups of IQ4_NL a scale of six bits: the upper two of all in two bytes, the
// lower four in four.
struct Iq4Xs {
  static constexpr int kValues = kLargeBlock;
  static constexpr int kBytes = 136;
  static void decode(const Byte* block, float* values) {
    const float d = half_at(block);
    uint16_t high = 0;
    std::memcpy(&high, block + 2, sizeof(high));
    const Byte* low = block + 4;
    const Byte* codes = block + 8;
    for (int group = 0; group < 8; ++group) {
      const int bits = (low[group / 2] >> group % 2 * 4 & 15) | (high >> group * 2 & 3) << 4;
      const float scale = d * static_cast<float>(bits - 32);
      Iq4Nl::decode_codes(scale, codes + group * 16, values + group * 32);
    }
  }
};

/// Codes of two bits as Q2_K and Q3_K have them: of each half of the block, four rows of 32 values
/// in 32 bytes.
int two_bits(const Byte* codes, int row, int j) {
  return codes[row / 4 * 32 + j] >> row % 4 * 2 & 3;
}

// Scale and minimum of sixteen groups of 16, half a byte each; codes; d, dmin.
struct Q2_K {
  static constexpr int kValues = kLargeBlock;
  static constexpr int kBytes = 84;
  static void decode(const Byte* block, float* values) {
    const Byte* scales = block;
    const Byte* codes = block + 16;
    const float d = half_at(block + 80);
    const float dmin = half_at(block + 82);
    for (int row = 0; row < 8; ++row) {
      for (int j = 0; j < 32; ++j) {
        const Byte group = scales[row * 2 + j / 16];
        const float scale = d * static_cast<float>(group & 15);
        const float minimum = dmin * static_cast<float>(group >> 4);
        values[row * 32 + j] = scale * static_cast<float>(two_bits(codes, row, j)) - minimum;
      }
    }
  }
};

// 32 bytes of third bits, bit g of byte j of value j of row g, which stand for no offset; codes;
// sixteen scales of six bits, the lower four in eight bytes, the upper two in four; d.
struct Q3_K {
  static constexpr int kValues = kLargeBlock;
  static constexpr int kBytes = 110;
  static void decode(const Byte* block, float* values) {
    const Byte* third = block;
    const Byte* codes = block + 32;
    const Byte* packed = block + 96;
    const float d = half_at(block + 108);
    for (int row = 0; row < 8; ++row) {
      for (int j = 0; j < 32; ++j) {
        const int group = row * 2 + j / 16;
        const int bits = (packed[group % 8] >> group / 8 * 4 & 15) |
                         (packed[8 + group % 4] >> group / 4 * 2 & 3) << 4;
        const float scale = d * static_cast<float>(bits - 32);
        const int offset = (third[j] >> row & 1) != 0 ? 0 : 4;
        values[row * 32 + j] = scale * static_cast<float>(two_bits(codes, row, j) - offset);
      }
    }
  }
};

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

constexpr std::array kDecoders = {
    entry<Q4_0>("Q4_0"),  entry<Q4_1>("Q4_1"), entry<Q5_0>("Q5_0"),    entry<Q5_1>("Q5_1"),
    entry<Q8_0>("Q8_0"),  entry<Q2_K>("Q2_K"), entry<Q3_K>("Q3_K"),    entry<Q4_K>("Q4_K"),
    entry<Q5_K>("Q5_K"),  entry<Q6_K>("Q6_K"), entry<Iq4Nl>("IQ4_NL"), entry<Iq4Xs>("IQ4_XS"),
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
