#include "trace/import/tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::trace {

std::optional<int64_t> TokenList::size() const {
  if (kind == TokenIds::kTokenizer) return static_cast<int64_t>(ids.size());
  if (kind == TokenIds::kHashed) return static_cast<int64_t>(names.size());
  return std::nullopt;
}

TokenList read_token_list(const Json& list, const std::string& where) {
  TokenList tokens;
  const bool named = list.is_array() && !list.empty() && list.front().is_string();
  tokens.kind = named ? TokenIds::kHashed : TokenIds::kTokenizer;
  const auto fits = [&](const Json& token) {
    if (named) return token.is_string();
    return token.is_number_integer() && token.get<int64_t>() >= 0 &&
           token.get<int64_t>() <= INT32_MAX;
  };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), fits)) {
    throw DataError(fmt::format(
        "{}: the tokens are not a list of ids from 0 to 2^31 - 1, nor of strings", where));
  }
  for (const Json& token : list) {
    if (named) {
      tokens.names.push_back(token.get<std::string>());
    } else {
      tokens.ids.push_back(token.get<int32_t>());
    }
  }
  return tokens;
}

TokenList read_token_list(const JsonReader& reader) {
  TokenList tokens;
  if (reader.has("token_ids")) {
    tokens.kind = TokenIds::kTokenizer;
    for (const int64_t id : reader.integers("token_ids")) {
      if (id < 0 || id > INT32_MAX) reader.fail("token_ids", "ids from 0 to 2^31 - 1");
      tokens.ids.push_back(static_cast<int32_t>(id));
    }
  } else if (reader.has("tokens")) {
    tokens.kind = TokenIds::kHashed;
    tokens.names = reader.strings("tokens");
  }
  return tokens;
}

TokenNumbering::TokenNumbering(TokenNames& names, const TokenDictionary* dictionary)
    : names_(names) {
  if (dictionary != nullptr) lookup_.emplace(*dictionary);
}

void TokenNumbering::survey(const TokenList& tokens, const std::string& where) {
  expect(tokens.kind, where);
  if (!lookup_) return;
  for (const std::string& name : tokens.names) lookup_->note(name);
}

void TokenNumbering::settle(const std::string& where, LeftOut& left_out) {
  if (!lookup_) return;
  if (kind() == TokenIds::kUnique) {
    throw UsageError(fmt::format(
        "{}: the record does not name its tokens, so there is nothing to look up; leave "
        "--tokenizer out",
        where));
  }
  lookup_->settle(where);
  left_out.ambiguous = static_cast<int64_t>(lookup_->ambiguous());
}

TokenIds TokenNumbering::kind() const {
  const TokenIds kind = kind_.value_or(TokenIds::kUnique);
  return kind == TokenIds::kHashed && lookup_ ? TokenIds::kTokenizer : kind;
}

void TokenNumbering::expect(TokenIds kind, const std::string& where) {
  if (!kind_) kind_ = kind;
  if (*kind_ == kind) return;
  throw DataError(fmt::format("{}: {} here, {} before; expected the same everywhere", where,
                              description(kind), description(*kind_)));
}

std::vector<int32_t> TokenNumbering::ids(const TokenList& tokens, int64_t first, int64_t count) {
  std::vector<int32_t> result;
  result.reserve(static_cast<size_t>(count));
  for (int64_t i = first; i < first + count; ++i) {
    const auto index = static_cast<size_t>(i);
    switch (kind() == TokenIds::kUnique ? TokenIds::kUnique : tokens.kind) {
      case TokenIds::kTokenizer:
        result.push_back(tokens.ids[index]);
        break;
      case TokenIds::kHashed:
      case TokenIds::kByAppearance:  // No source gives such ids itself.
        result.push_back(lookup_ ? lookup_->id(tokens.names[index])
                                 : names_.id(tokens.names[index]));
        break;
      case TokenIds::kUnique:
        result.push_back(unique_id());
        break;
    }
  }
  return result;
}

int32_t TokenNumbering::unique_id() {
  if (next_unique_ == INT32_MAX) {
    throw DataError("more than 2^31 - 1 tokens without ids; import the record in parts");
  }
  return next_unique_++;
}

}  // namespace foregate::trace
