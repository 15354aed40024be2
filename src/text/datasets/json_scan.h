#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace foregate::text {

/// Finds where JSON values begin and end without building them, so that a large document is parsed
/// piece by piece and a broken piece does not take the others along.

size_t skip_json_space(std::string_view text, size_t position);

/// The position behind the value that begins at `position`; nothing if the text ends inside it.
/// Only brackets and strings are looked at: what lies between them may be invalid.
std::optional<size_t> end_of_json_value(std::string_view text, size_t position);

/// The position behind the '[' of the first array that is a value of the top-level object of
/// `text`.
std::optional<size_t> find_array_in_object(std::string_view text);

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

}  // namespace foregate::text
