#include "base/json_numbers.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace foregate {

std::string null_for_nonfinite(std::string_view text) {
  // The longer first, where one starts with another.
  constexpr std::array<std::string_view, 5> kNames{"NaN", "nan", "Infinity", "Inf", "inf"};
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    size_t taken = 1;
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') {
      taken = std::min<size_t>(2, text.size() - i);
    } else if (!in_string) {
      const size_t sign = c == '-' || c == '+' ? 1 : 0;
      for (const std::string_view name : kNames) {
        const size_t end = i + sign + name.size();
        const bool whole =
            end >= text.size() || std::isalnum(static_cast<unsigned char>(text[end])) == 0;
        if (!whole || text.substr(i + sign, name.size()) != name) continue;
        result += "null";
        i = end;
        taken = 0;
        break;
      }
    }
    result += text.substr(i, taken);
    i += taken;
  }
  return result;
}

}  // namespace foregate
