#include "text/tokenizer/merge_table.h"

#include <bit>

namespace foregate::text {

MergeTable::MergeTable(size_t expected) {
  const size_t size = std::bit_ceil(2 * expected + 2);
  slots_.resize(size);
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t i = slot_of(key);
  while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
  slots_[i] = {key, merge};
}

}  // namespace foregate::text
