#include "base/json_dialect.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace foregate {
namespace {

constexpr size_t kEscapeLength = 6;  // \uXXXX

/// The UTF-16 unit of the escape at the beginning of `text`; 0 if there is none.
unsigned escaped_unit(std::string_view text) {
  if (text.size() < kEscapeLength || !text.starts_with("\\u")) return 0;
  unsigned unit = 0;
  const char* const end = text.data() + kEscapeLength;
  const auto [stop, error] = std::from_chars(text.data() + 2, end, unit, 16);
  return error == std::errc() && stop == end ? unit : 0;
}

bool is_high_surrogate(unsigned unit) {
  return unit >= 0xd800 && unit < 0xdc00;
}

bool is_low_surrogate(unsigned unit) {
  return unit >= 0xdc00 && unit < 0xe000;
}

}  // namespace

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

std::string without_lone_surrogates(std::string_view text) {
  std::string result(text);
  for (size_t i = 0; i + 1 < result.size();) {
    if (result[i] != '\\') {
      ++i;
      continue;
    }
    const std::string_view rest = std::string_view(result).substr(i);
    const unsigned unit = escaped_unit(rest);
    if (is_high_surrogate(unit) && is_low_surrogate(escaped_unit(rest.substr(kEscapeLength)))) {
      i += 2 * kEscapeLength;
    } else if (is_high_surrogate(unit) || is_low_surrogate(unit)) {
      result.replace(i, kEscapeLength, "\\ufffd");
      i += kEscapeLength;
    } else {
      i += 2;  // Behind what is escaped, which may be a backslash.
    }
  }
  return result;
}

}  // namespace foregate
