#pragma once

#include <cstdint>
#include <vector>

namespace foregate::text {

/// The pairs of characters at which some merge joins two tokens. Between two characters that are no
/// such pair no merge ever reaches across, so that a long text can be cut there and its parts be
/// encoded by themselves, with exactly the same result. A Bloom filter of one hash: it may say
/// "joins" of a pair that does not, which costs a cut and nothing else.
class Junctions {
 public:
  Junctions() : bits_(kBits / 64, 0) {}

  void add(char32_t left, char32_t right) {
    const uint64_t slot = slot_of(left, right);
    bits_[slot / 64] |= uint64_t{1} << (slot % 64);
  }
  bool may_join(char32_t left, char32_t right) const {
    const uint64_t slot = slot_of(left, right);
    return (bits_[slot / 64] >> (slot % 64) & 1) != 0;
  }

 private:
  static constexpr int kLogBits = 18;  // 32 KiB; a vocabulary of 32,000 has some 10,000 pairs.
  static constexpr uint64_t kBits = uint64_t{1} << kLogBits;

  static uint64_t slot_of(char32_t left, char32_t right) {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
    return (key * 0x9e3779b97f4a7c15ULL) >> (64 - kLogBits);
  }

  std::vector<uint64_t> bits_;
};

}  // namespace foregate::text
