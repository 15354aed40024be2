#include "text/datasets/json_scan.h"

#include <algorithm>

namespace foregate::text {
namespace {

bool is_space(char c) {
  constexpr char kRecordSeparator = '\x1e';
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == kRecordSeparator;
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

bool JsonMemberScanner::next(std::string_view& key, std::string_view& value, bool& whole) {
  while (position_ < text_.size() && (is_space(text_[position_]) || text_[position_] == ',')) {
    ++position_;
  }
  if (position_ >= text_.size() || text_[position_] != '"') return false;
  const auto key_end = end_of_string(text_, position_);
  if (!key_end) return false;
  key = text_.substr(position_, *key_end - position_);
  const size_t colon = skip_json_space(text_, *key_end);
  if (colon >= text_.size() || text_[colon] != ':') return false;
  value_position_ = skip_json_space(text_, colon + 1);
  if (value_position_ >= text_.size()) return false;
  const auto end = end_of_json_value(text_, value_position_);
  whole = end.has_value();
  position_ = end.value_or(text_.size());
  value = text_.substr(value_position_, position_ - value_position_);
  return true;
}

}  // namespace foregate::text
