#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace foregate::text {

bool is_valid_utf8(std::string_view bytes);

/// `bytes` with every invalid sequence replaced by U+FFFD, one for each maximal invalid part: what
/// Python's errors="replace" does (Unicode 15, section 3.9, table 3-8).
std::string replace_invalid_utf8(std::string_view bytes);

/// The code point at `position`, which is moved behind it. `text` must be valid UTF-8.
char32_t next_code_point(std::string_view text, size_t& position);
void append_utf8(char32_t code_point, std::string& text);

/// Unicode's White_Space property.
bool is_white_space(char32_t code_point);

/// Whether nothing but white space is in `text` (valid UTF-8).
bool is_blank(std::string_view text);

/// `text` (valid UTF-8) without white space at its ends.
std::string_view trimmed(std::string_view text);

}  // namespace foregate::text
