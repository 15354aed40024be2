#include "text/datasets/json_scan.h"

#include <algorithm>

namespace foregate::text {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// The position behind the string whose opening quote is at `position`.
std::optional<size_t> end_of_string(std::string_view text, size_t position) {
  for (size_t i = position + 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
  }
  return std::nullopt;
}

}  // namespace

size_t skip_json_space(std::string_view text, size_t position) {
  while (position < text.size() && is_space(text[position])) ++position;
  return position;
}

std::optional<size_t> end_of_json_value(std::string_view text, size_t position) {
  size_t depth = 0;
  size_t i = position;
  while (i < text.size()) {
    const char c = text[i];
    const bool closes = c == '}' || c == ']';
    if (depth == 0 && (c == ',' || closes)) return i;
    if (c == '"') {
      const auto end = end_of_string(text, i);
      if (!end) return std::nullopt;
      i = *end;
    } else {
      if (c == '{' || c == '[') ++depth;
      if (closes) --depth;
      ++i;
    }
    if (depth == 0 && (closes || c == '"')) return i;
  }
  return std::nullopt;
}

std::optional<size_t> find_array_in_object(std::string_view text) {
  size_t i = skip_json_space(text, 0);
  if (i >= text.size() || text[i] != '{') return std::nullopt;
  ++i;
  while (true) {
    i = skip_json_space(text, i);
    const auto key_end = end_of_json_value(text, i);
    if (!key_end) return std::nullopt;
    i = skip_json_space(text, *key_end);
    if (i >= text.size() || text[i] != ':') return std::nullopt;
    i = skip_json_space(text, i + 1);
    if (i < text.size() && text[i] == '[' &&
        text.substr(skip_json_space(text, i + 1)).starts_with('{'))
      return i + 1;
    const auto value_end = end_of_json_value(text, i);
    if (!value_end) return std::nullopt;
    i = skip_json_space(text, *value_end);
    if (i >= text.size() || text[i] != ',') return std::nullopt;
    ++i;
  }
}

bool JsonArrayScanner::next(std::string_view& element, bool& whole) {
  while (position_ < text_.size() && (is_space(text_[position_]) || text_[position_] == ',')) {
    ++position_;
  }
  if (position_ >= text_.size() || text_[position_] == ']') return false;
  const auto end = end_of_json_value(text_, position_);
  whole = end.has_value();
  // A stray closing brace is an element of its own, or the scan would stand still.
  const size_t stop = std::max(end.value_or(text_.size()), position_ + 1);
  element = text_.substr(position_, stop - position_);
  position_ = stop;
  return true;
}

}  // namespace foregate::text
