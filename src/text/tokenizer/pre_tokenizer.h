#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/words.h"

namespace foregate::text {

/// The `pre_tokenizer` of a tokenizer.json: cuts a text into the words that BPE works on. Null,
/// Split, Digits, Punctuation, Metaspace, ByteLevel, or a Sequence of these in which nothing
/// follows ByteLevel.
class PreTokenizer {
 public:
  /// Throws DataError for what is not implemented. `where` names the file in errors.
  static PreTokenizer from_json(const Json& json, const std::string& where);

  /// The words of `text` (valid UTF-8). `begins_text`: it is the beginning of the whole text, not
  /// what follows an added token.
  Words split(std::string_view text, bool begins_text) const;

  /// Words are bytes, to be spelled in the byte-level alphabet.
  bool byte_level() const { return byte_level_; }
  /// The words depend on where the whole text begins.
  bool needs_text_begin() const { return needs_text_begin_; }

 private:
  void add(const JsonReader& part);
  void add_split(const JsonReader& part);
  void add_metaspace(const JsonReader& part);
  void add_byte_level(const JsonReader& part);

  std::vector<std::unique_ptr<const PreTokenizerStep>> steps_;
  bool byte_level_ = false;
  bool needs_text_begin_ = false;
};

}  // namespace foregate::text
