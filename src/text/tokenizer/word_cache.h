#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace foregate::text {

/// Ids of short words already encoded, shared by all threads without locks: entries are written
/// once, never changed and freed with the cache. Bounded: a word whose slots are taken is not kept,
/// which costs little because the frequent words come first.
class WordCache {
 public:
  WordCache() : slots_(std::make_unique<std::atomic<const Entry*>[]>(kNumSlots)) {}
  ~WordCache();
  WordCache(const WordCache&) = delete;
  WordCache& operator=(const WordCache&) = delete;

  /// The ids of `word`, or an empty span.
  std::span<const int32_t> find(std::string_view word) const;
  void insert(std::string_view word, std::span<const int32_t> ids);

 private:
  static constexpr size_t kNumSlots = 1 << 16;
  static constexpr size_t kNumProbes = 4;
  static constexpr size_t kMaxBytes = 26;
  static constexpr size_t kMaxIds = 9;

  struct alignas(64) Entry {  // one cache line
    std::array<char, kMaxBytes> bytes;
    uint8_t num_bytes;
    uint8_t num_ids;
    std::array<int32_t, kMaxIds> ids;
    std::string_view word() const { return {bytes.data(), num_bytes}; }
  };
  static_assert(sizeof(Entry) == 64);

  std::unique_ptr<std::atomic<const Entry*>[]> slots_;
};

}  // namespace foregate::text
