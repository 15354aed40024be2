#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/vocabulary.h"

namespace foregate::text {

/// Finds the tokens of one set in a text: the leftmost first, of those that start there the
/// longest.
class TokenMatcher {
 public:
  struct Token {
    std::string content;
    int32_t id = 0;
    bool strip_left = false;   ///< takes the white space before it along
    bool strip_right = false;  ///< takes the white space behind it along
    bool single_word = false;  ///< counts only where no word character stands beside it
  };

  /// Part of a text: an added token (with its id), or what lies between two.
  struct Segment {
    std::string_view text;
    std::optional<int32_t> id;
  };

  void add(Token token);
  /// Cuts `text` (valid UTF-8) into segments; none is empty.
  std::vector<Segment> split(std::string_view text) const;

 private:
  const Token* match_at(std::string_view rest) const;

  /// By first byte, longest first.
  std::array<std::vector<Token>, 256> by_first_byte_;
  bool empty_ = true;
};

/// The `added_tokens` of a tokenizer.json: found in the text before anything else looks at it.
/// Those marked `normalized` are looked for in the normalized text, the others in the text as it
/// is.
class AddedTokens {
 public:
  /// Adds the tokens that are new to `vocabulary`. Throws DataError for ids that contradict it.
  /// `where` names the file in errors.
  static AddedTokens from_json(const Json& json, const Normalizer& normalizer,
                               Vocabulary& vocabulary, const std::string& where);

  const TokenMatcher& raw() const { return raw_; }
  const TokenMatcher& normalized() const { return normalized_; }
  /// Whether `id` is an added token: spelled as text, not in the byte-level alphabet.
  bool contains(int32_t id) const;
  /// Whether it is one of those that steer a model and are not part of a text.
  bool is_special(int32_t id) const;

 private:
  TokenMatcher raw_;
  TokenMatcher normalized_;
  std::vector<int32_t> ids_;      ///< ascending
  std::vector<int32_t> special_;  ///< of them, ascending
};

}  // namespace foregate::text
