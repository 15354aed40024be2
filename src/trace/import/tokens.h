#pragma once

// Internal to trace/.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "trace/import/token_lookup.h"
#include "trace/manifest.h"
#include "trace/token_names.h"

namespace foregate::trace {

/// The tokens of one text as its source gives them: ids, strings, or nothing.
struct TokenList {
  TokenIds kind = TokenIds::kUnique;
  std::vector<int32_t> ids;        ///< kTokenizer
  std::vector<std::string> names;  ///< kHashed

  /// Tokens given; nothing if the source has none.
  std::optional<int64_t> size() const;
};

/// A list of ids or of strings. Throws DataError.
TokenList read_token_list(const Json& list, const std::string& where);
/// The lists `token_ids` or `tokens` of an object. Throws DataError.
TokenList read_token_list(const JsonReader& reader);

/// Gives every token of a source its id.
class TokenNumbering {
 public:
  /// Strings are hashed, their names kept in `names`; with a dictionary (or nullptr) they are
  /// looked up in it.
  TokenNumbering(TokenNames& names, const TokenDictionary* dictionary);

  /// Throws DataError if the texts of a source differ in what they say about their tokens.
  void expect(TokenIds kind, const std::string& where);
  /// The same, for all tokens of a text.
  void survey(const TokenList& tokens, const std::string& where);
  void survey(const std::string& name) {
    if (lookup_) lookup_->note(name);
  }
  /// To be called when all texts were surveyed. Throws DataError if the dictionary does not know
  /// the strings, UsageError if there is nothing to look up.
  void settle(const std::string& where, LeftOut& left_out);
  /// From now on every token gets an id of its own: what some texts say does not fit.
  void give_up() { kind_ = TokenIds::kUnique; }
  /// Ids of tokens [first, first + count) of the list. Without tokens each gets an id that no
  /// other has, so that nothing takes two of them for the same.
  std::vector<int32_t> ids(const TokenList& tokens, int64_t first, int64_t count);
  int32_t unique_id();
  /// Of the ids that ids() gives.
  TokenIds kind() const;

 private:
  TokenNames& names_;
  std::optional<TokenLookup> lookup_;
  std::optional<TokenIds> kind_;
  int32_t next_unique_ = 0;
};

}  // namespace foregate::trace
