#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/bpe_alphabet.h"
#include "text/tokenizer/junctions.h"
#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/word_cache.h"

namespace foregate::text {

struct TokenizerFile;

/// Byte-pair encoding (Sennrich et al. 2016), over bytes as in GPT-2 or over characters as in
/// SentencePiece: of a word's symbols the pair of lowest rank is merged first, the leftmost of
/// equals first. Safe to use from many threads.
class BytePairEncoder {
 public:
  /// `byte_level`: words are bytes spelled in the byte-level alphabet. Throws DataError if the
  /// model needs what is not implemented, or vocabulary and merges do not belong together.
  BytePairEncoder(const TokenizerFile& file, bool byte_level);

  /// Appends the ids of one word (valid UTF-8) as the pre-tokenizer cuts it. A word may be a whole
  /// text: time is O(n log n).
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  void check_model(const TokenizerFile& file) const;
  void read_merges(const TokenizerFile& file);
  void read_junctions(const TokenizerFile& file);
  void read_whole_words(const TokenizerFile& file, bool byte_level);

  void encode_part(std::string_view part, std::vector<int32_t>& ids) const;
  void merge_short(std::span<int32_t> symbols, std::vector<int32_t>& ids) const;
  void merge_long(std::span<const int32_t> symbols, std::vector<int32_t>& ids) const;

  BpeAlphabet alphabet_;
  MergeTable merges_;
  /// Where a word may be cut; nothing if it may not be.
  std::optional<Junctions> junctions_;
  /// With `ignore_merges`: words that are tokens themselves, taken as they are.
  std::unordered_map<std::string, int32_t> whole_words_;
  std::unique_ptr<WordCache> cache_;
};

}  // namespace foregate::text
