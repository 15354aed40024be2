#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace foregate::text {

/// BPE's merges: a pair of ids -> its rank and the id it becomes. Open addressing with linear
/// probing, because the encoder's time goes into these look-ups.
class MergeTable {
 public:
  static constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();

  struct Merge {
    uint32_t rank = kNoRank;  ///< kNoRank: the pair does not merge
    int32_t result = -1;
  };

  explicit MergeTable(size_t expected);

  /// A pair given twice keeps its last rank, as the tokenizers library does.
  void insert(int32_t left, int32_t right, Merge merge);

  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].merge;
      if (slots_[i].key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty =
      std::numeric_limits<uint64_t>::max();  // ids are never negative

  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const {
    return static_cast<size_t>((key * 0x9e3779b97f4a7c15ULL) >> shift_);
  }

  std::vector<Slot> slots_;
  size_t mask_;
  int shift_;
};

}  // namespace foregate::text
