#pragma once

// Internal to trace/.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "trace/manifest.h"
#include "trace/token_names.h"

namespace foregate::trace {

/// The tokens of one text as its source gives them: ids, strings, or nothing.
struct TokenList {
  TokenIds kind = TokenIds::kUnique;
  std::vector<int32_t> ids;        ///< kTokenizer
  std::vector<std::string> names;  ///< kByAppearance

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
  explicit TokenNumbering(TokenNames& names) : names_(names) {}

  /// Throws DataError if the texts of a source differ in what they say about their tokens.
  void expect(TokenIds kind, const std::string& where);
  /// From now on every token gets an id of its own: what some texts say does not fit.
  void give_up() { kind_ = TokenIds::kUnique; }
  /// Ids of tokens [first, first + count) of the list. Without tokens each gets an id that no
  /// other has, so that nothing takes two of them for the same.
  std::vector<int32_t> ids(const TokenList& tokens, int64_t first, int64_t count);
  int32_t unique_id();
  TokenIds kind() const { return kind_.value_or(TokenIds::kUnique); }

 private:
  TokenNames& names_;
  std::optional<TokenIds> kind_;
  int32_t next_unique_ = 0;
};

}  // namespace foregate::trace
