#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "text/merge_table.h"
#include "text/word_cache.h"

namespace foregate {

struct TokenizerFile;

/// Byte-level byte-pair encoding (Sennrich et al. 2016, over bytes as in GPT-2): a word's bytes,
/// the pair of lowest rank merged first, the leftmost of equals first. Safe to use from many
/// threads.
class BytePairEncoder {
 public:
  /// Throws DataError if the model needs what is not implemented, or vocabulary and merges do not
  /// belong together.
  explicit BytePairEncoder(const TokenizerFile& file);

  /// Appends the ids of one word as the pre-tokenizer cuts it.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  void check_model(const TokenizerFile& file) const;
  void read_bytes(const TokenizerFile& file);
  void read_merges(const TokenizerFile& file);
  void read_whole_words(const TokenizerFile& file);

  void merge_short(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_long(std::string_view word, std::vector<int32_t>& ids) const;

  std::array<int32_t, 256> byte_ids_{};
  MergeTable merges_;
  /// With `ignore_merges`: words that are tokens themselves, taken as they are.
  std::unordered_map<std::string, int32_t> whole_words_;
  std::unique_ptr<WordCache> cache_;
};

}  // namespace foregate
