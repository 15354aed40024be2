#include "text/tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/unicode/unicode_forms.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Where the white space at the end of `text` begins.
size_t trailing_space(std::string_view text) {
  size_t begin = text.size();
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    if (!is_white_space(next_code_point(text, i))) {
      begin = text.size();
    } else if (begin == text.size()) {
      begin = start;
    }
  }
  return begin;
}

/// Where the white space at the start of `text` ends.
size_t leading_space(std::string_view text) {
  size_t end = 0;
  for (size_t i = 0; i < text.size(); end = i) {
    if (!is_white_space(next_code_point(text, i))) break;
  }
  return end;
}

/// Whether no word character touches text[begin, end).
bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (end < text.size()) {
    size_t position = end;
    if (is_word_character(next_code_point(text, position))) return false;
  }
  if (begin == 0) return true;
  size_t position = begin - 1;
  while ((static_cast<unsigned char>(text[position]) & 0xc0) == 0x80) --position;
  return !is_word_character(next_code_point(text, position));
}

/// The id of an added token: the vocabulary's where it has the text already.
int32_t enter(Vocabulary& vocabulary, const std::string& content, int64_t id,
              const std::string& where) {
  const auto known = vocabulary.find(content);
  if (known && *known != id) {
    throw DataError(
        fmt::format("{}: \"{}\" has id {}, but {} in model.vocab", where, content, id, *known));
  }
  if (!known) vocabulary.add(content, id, where);
  return static_cast<int32_t>(id);
}

}  // namespace

void TokenMatcher::add(Token token) {
  auto& bucket = by_first_byte_[static_cast<unsigned char>(token.content[0])];
  const auto place = std::ranges::find_if(
      bucket, [&](const Token& other) { return other.content.size() < token.content.size(); });
  bucket.insert(place, std::move(token));
  empty_ = false;
}

const TokenMatcher::Token* TokenMatcher::match_at(std::string_view rest) const {
  for (const Token& token : by_first_byte_[static_cast<unsigned char>(rest[0])]) {
    if (rest.starts_with(token.content)) return &token;
  }
  return nullptr;
}

std::vector<TokenMatcher::Segment> TokenMatcher::split(std::string_view text) const {
  std::vector<Segment> segments;
  size_t done = 0;
  for (size_t i = 0; !empty_ && i < text.size();) {
    const Token* token = match_at(text.substr(i));
    if (token == nullptr) {
      ++i;
      continue;
    }
    size_t begin = i;
    i += token->content.size();
    size_t end = i;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    if (token->strip_left && begin > done) {
      begin = done + trailing_space(text.substr(done, begin - done));
    }
    if (token->strip_right) end += leading_space(text.substr(end));
    if (begin > done) segments.push_back({text.substr(done, begin - done), std::nullopt});
    segments.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done), std::nullopt});
  return segments;
}

AddedTokens AddedTokens::from_json(const Json& json, const Normalizer& normalizer,
                                   Vocabulary& vocabulary, const std::string& where) {
  AddedTokens added;
  if (!json.is_null() && !json.is_array()) {
    throw DataError(
        fmt::format("{}: added_tokens is of type {}; expected a list", where, json.type_name()));
  }
  for (const Json& entry : json) {
    const std::string place = fmt::format("{}: added_tokens[{}]", where, added.ids_.size());
    const JsonReader reader(entry, place);
    const std::string content = reader.string("content");
    if (content.empty()) reader.fail("content", "a text");
    const int64_t id = reader.integer("id", 0, std::numeric_limits<int32_t>::max());
    TokenMatcher::Token token{content, enter(vocabulary, content, id, place),
                              reader.boolean("lstrip", false), reader.boolean("rstrip", false),
                              reader.boolean("single_word", false)};
    added.ids_.push_back(token.id);
    if (reader.boolean("special", false)) added.special_.push_back(token.id);
    if (reader.boolean("normalized", false)) {
      std::string storage;
      token.content = std::string(normalizer.normalize(content, storage));
      if (token.content.empty()) reader.fail("content", "a text that the normalizer leaves over");
      added.normalized_.add(std::move(token));
    } else {
      added.raw_.add(std::move(token));
    }
  }
  std::ranges::sort(added.ids_);
  std::ranges::sort(added.special_);
  return added;
}

bool AddedTokens::contains(int32_t id) const {
  return std::ranges::binary_search(ids_, id);
}

bool AddedTokens::is_special(int32_t id) const {
  return std::ranges::binary_search(special_, id);
}

}  // namespace foregate::text
