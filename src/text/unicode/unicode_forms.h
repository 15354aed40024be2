#pragma once

#include <string>
#include <string_view>

namespace foregate::text {

/// Unicode's normal forms (UAX 15).
enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

/// `text` (valid UTF-8) in the form, as the tokenizers package makes it: characters newer than its
/// Unicode version stay as they are. Throws DataError for a text too large for memory.
std::string to_unicode_form(std::string_view text, UnicodeForm form);

/// Whether every character of `text` (valid UTF-8) lies in blocks that the form never changes, so
/// that normalizing can be skipped. False means "not known".
bool is_surely_in_form(std::string_view text, UnicodeForm form);

/// The lowercase of one character, as Rust's char::to_lowercase; appended to `text`.
void append_lowercase(char32_t code_point, std::string& text);

/// Letters, marks, decimal digits, connectors and joiners: \w of Unicode's UTS 18.
bool is_word_character(char32_t code_point);

}  // namespace foregate::text
