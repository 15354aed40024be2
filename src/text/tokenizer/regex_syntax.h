#pragma once

#include <string>
#include <string_view>

namespace foregate::text {

/// A pattern of tokenizer.json, written for Oniguruma with Ruby's syntax, as the PCRE2 pattern that
/// matches the same. The two engines differ in places: \s takes U+180E in PCRE2, $ another
/// position, \w, \b and ^ mean other things, and \p{L} is of another Unicode version. What differs
/// is rewritten or refused by name with DataError, never passed on. `where` names file and key in
/// errors.
std::string to_pcre2_pattern(std::string_view pattern, const std::string& where);

}  // namespace foregate::text
