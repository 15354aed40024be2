#include "text/tokenizer/word_cache.h"

#include <algorithm>
#include <functional>

namespace foregate::text {

WordCache::~WordCache() {
  for (size_t i = 0; i < kNumSlots; ++i) delete slots_[i].load(std::memory_order_relaxed);
}

std::span<const int32_t> WordCache::find(std::string_view word) const {
  if (word.size() > kMaxBytes) return {};
  const size_t home = std::hash<std::string_view>{}(word);
  for (size_t probe = 0; probe < kNumProbes; ++probe) {
    const Entry* entry = slots_[(home + probe) % kNumSlots].load(std::memory_order_acquire);
    if (entry == nullptr) return {};
    if (entry->word() == word) return {entry->ids.data(), entry->num_ids};
  }
  return {};
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  if (word.size() > kMaxBytes || ids.empty() || ids.size() > kMaxIds) return;
  const size_t home = std::hash<std::string_view>{}(word);
  for (size_t probe = 0; probe < kNumProbes; ++probe) {
    std::atomic<const Entry*>& slot = slots_[(home + probe) % kNumSlots];
    if (slot.load(std::memory_order_relaxed) != nullptr) continue;
    auto entry = std::make_unique<Entry>();
    std::ranges::copy(word, entry->bytes.begin());
    std::ranges::copy(ids, entry->ids.begin());
    entry->num_bytes = static_cast<uint8_t>(word.size());
    entry->num_ids = static_cast<uint8_t>(ids.size());
    const Entry* expected = nullptr;
    // Another thread may have taken the slot meanwhile; the word is then encoded again next time.
    if (slot.compare_exchange_strong(expected, entry.get(), std::memory_order_release,
                                     std::memory_order_relaxed)) {
      entry.release();
    }
    return;
  }
}

}  // namespace foregate::text
