#pragma once

#include <string>
#include <string_view>

namespace foregate {

/// `text` with null in place of the numbers that JSON does not have and Python's json and C's
/// printf write all the same (NaN, Infinity, -inf). Strings stay as they are.
std::string null_for_nonfinite(std::string_view text);

}  // namespace foregate
