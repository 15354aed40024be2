#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace foregate::text {

/// Finds where JSON values begin and end without building them, so that a large document is parsed
/// piece by piece and a broken piece does not take the others along.

/// Also passes over the record separators of RFC 7464.
size_t skip_json_space(std::string_view text, size_t position);

/// The position behind the value that begins at `position`; nothing if the text ends inside it.
/// Only brackets and strings are looked at: what lies between them may be invalid.
std::optional<size_t> end_of_json_value(std::string_view text, size_t position);

/// The elements of an array, one by one.
class JsonArrayScanner {
 public:
  /// `position`: behind the array's '['.
  JsonArrayScanner(std::string_view text, size_t position) : text_(text), position_(position) {}

  /// False at the end of the array. `whole` is false for a last element that the end of the text
  /// cuts off.
  bool next(std::string_view& element, bool& whole);

 private:
  std::string_view text_;
  size_t position_;
};

/// The members of an object, one by one.
class JsonMemberScanner {
 public:
  /// `position`: behind the object's '{'.
  JsonMemberScanner(std::string_view text, size_t position) : text_(text), position_(position) {}

  /// False at the end of the object, or where there is no key and value to be found any more. `key`
  /// is as in the text, quotes included; `value` begins at value_position(). `whole` is false for a
  /// last value that the end of the text cuts off.
  bool next(std::string_view& key, std::string_view& value, bool& whole);
  size_t value_position() const { return value_position_; }
  /// Behind the last member's value.
  size_t position() const { return position_; }

 private:
  std::string_view text_;
  size_t position_;
  size_t value_position_ = 0;
};

}  // namespace foregate::text
