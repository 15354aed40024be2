#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace foregate::text {

struct TokenizerFile;

/// The symbols that BPE starts from: a word's bytes, or its characters with what stands in for
/// those that the vocabulary lacks.
class BpeAlphabet {
 public:
  /// Every byte is a symbol, spelled in the byte-level alphabet. Throws DataError if one that
  /// occurs in UTF-8 is not in the vocabulary.
  static BpeAlphabet of_bytes(const TokenizerFile& file);
  /// Every character is a symbol. One that the vocabulary lacks becomes the tokens of its bytes
  /// (`byte_fallback`), else `unk_token` (neighbours fused if `fuse_unk`), else nothing. Throws
  /// DataError if the vocabulary lacks the unk_token.
  static BpeAlphabet of_characters(const TokenizerFile& file);

  /// Writes the symbols of `word` (valid UTF-8) to `symbols`, which has a place for each byte;
  /// returns how many they are.
  size_t symbols_of(std::string_view word, std::span<int32_t> symbols) const;

  bool has_character(char32_t code_point) const { return character_id(code_point) >= 0; }
  /// Whether `id` stands in for characters that the vocabulary lacks.
  bool is_substitute(int32_t id) const;

 private:
  int32_t character_id(char32_t code_point) const {
    return code_point < character_ids_.size() ? character_ids_[code_point] : -1;
  }
  void read_characters(const TokenizerFile& file);
  void read_byte_tokens(const TokenizerFile& file);
  bool can_spell(std::string_view character) const;

  bool byte_level_ = false;
  bool fuse_unknown_ = false;
  int32_t unknown_ = -1;                ///< -1: unknown characters are dropped
  std::array<int32_t, 256> byte_ids_;   ///< -1: no such token
  std::vector<int32_t> character_ids_;  ///< by code point; -1: not in the vocabulary
};

}  // namespace foregate::text
