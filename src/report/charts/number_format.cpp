#include "report/charts/number_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/number_text.h"

namespace foregate::report {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

/// Length of the UTF-8 character that `text` starts with; 0 if its bytes are not one that XML
/// allows (overlong forms, surrogates, beyond U+10FFFF, U+FFFE and U+FFFF).
size_t character_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  unsigned code = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (!continues(text[i])) return 0;
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
  }
  const unsigned smallest = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool allowed = code >= smallest && code <= 0x10ffff && code != 0xfffe && code != 0xffff;
  return allowed && !surrogate ? length : 0;
}

bool control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::string clean_utf8(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (length == 0) {
      clean += kReplacement;
    } else if (control(text.front())) {
      clean += ' ';
    } else {
      clean += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : clean_utf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string shorten(std::string_view text, size_t length) {
  std::string clean = clean_utf8(text);
  size_t characters = 0;
  size_t cut = 0;  // Where the last character that fits beside an ellipsis ends.
  for (size_t i = 0; i < clean.size(); ++i) {
    if (continues(clean[i])) continue;
    if (characters + 1 == length) cut = i;
    ++characters;
  }
  return characters <= length ? clean : clean.substr(0, cut) + "…";
}

std::string format_value(double value, Unit unit) {
  if (std::isnan(value)) return "–";
  switch (unit) {
    case Unit::kPercent:
      return fmt::format("{:.{}f}%", 100 * value, value < 0.00995 ? 2 : 1);
    case Unit::kRatio:
      return fmt::format("{:.2f}×", value);
    case Unit::kBits:
      return fmt::format("{:.4f} bits", value);
    case Unit::kCount:
      return fmt::format("{:.{}f}", value, value == std::round(value) ? 0 : 1);
    case Unit::kNumber:
      break;
  }
  return fmt::format("{:.3f}", value);
}

}  // namespace foregate::report
