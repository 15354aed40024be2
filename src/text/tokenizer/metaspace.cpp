#include "text/tokenizer/metaspace.h"

#include <algorithm>
#include <utility>

#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Older files say `add_prefix_space` instead of `prepend_scheme`.
Metaspace::Prepend read_prepend(const JsonReader& json) {
  if (!json.has("prepend_scheme")) {
    return json.boolean("add_prefix_space", true) ? Metaspace::Prepend::kAlways
                                                  : Metaspace::Prepend::kNever;
  }
  const std::string scheme = json.string("prepend_scheme");
  if (scheme == "always") return Metaspace::Prepend::kAlways;
  if (scheme == "first") return Metaspace::Prepend::kFirst;
  if (scheme == "never") return Metaspace::Prepend::kNever;
  json.fail("prepend_scheme", "\"always\", \"first\" or \"never\"");
}

}  // namespace

Metaspace::Metaspace(const JsonReader& json)
    : replacement_(json.string("replacement")),
      prepend_(read_prepend(json)),
      split_(json.boolean("split", true)) {
  size_t position = 0;
  if (!replacement_.empty()) next_code_point(replacement_, position);
  if (replacement_.empty() || position != replacement_.size()) {
    json.fail("replacement", "one character");
  }
}

void Metaspace::apply(Words& words) const {
  // Views into the new text need it to stay where it is.
  size_t size = 0;
  for (const std::string_view word : words.views) {
    const auto spaces = static_cast<size_t>(std::ranges::count(word, ' '));
    size += word.size() + (spaces + 1) * replacement_.size();
  }
  std::string& text = words.storage.emplace_front();
  text.reserve(size);
  std::vector<std::string_view> pieces;
  pieces.reserve(size / 4);
  for (size_t i = 0; i < words.views.size(); ++i) {
    const std::string_view word = words.views[i];
    const bool wanted = prepend_ == Prepend::kAlways ||
                        (prepend_ == Prepend::kFirst && words.begins_text && i == 0);
    const size_t start = text.size();
    if (wanted && !word.starts_with(' ') && !word.starts_with(replacement_)) text += replacement_;
    for (const char c : word) {
      if (c == ' ') {
        text += replacement_;
      } else {
        text += c;
      }
    }
    split(std::string_view(text).substr(start), pieces);
  }
  words.views = std::move(pieces);
}

/// Cuts before each replacement character.
void Metaspace::split(std::string_view piece, std::vector<std::string_view>& words) const {
  size_t begin = 0;
  while (split_) {
    const size_t end = piece.find(replacement_, begin + 1);
    if (end == std::string_view::npos) break;
    words.push_back(piece.substr(begin, end - begin));
    begin = end;
  }
  words.push_back(piece.substr(begin));
}

}  // namespace foregate::text
