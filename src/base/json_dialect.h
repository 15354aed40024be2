#pragma once

#include <string>
#include <string_view>

namespace foregate {

// What Python's json module writes and other parsers refuse.

/// `text` with null in place of the numbers that JSON does not have and Python's json and C's
/// printf write all the same (NaN, Infinity, -inf). Strings stay as they are.
std::string null_for_nonfinite(std::string_view text);

/// `text` with \ufffd in place of each half of a surrogate pair that stands alone (\ud83d without
/// its \udf78): what is left of an emoji that was cut in two, or of a byte that was no UTF-8. As
/// long as `text`.
std::string without_lone_surrogates(std::string_view text);

}  // namespace foregate
