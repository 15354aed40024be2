#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace foregate::report {

/// Makes any bytes safe as text and attribute values of HTML and XML: & < > " ' become entities,
/// control characters a space, and bytes that are not UTF-8 the replacement character.
std::string escape(std::string_view text);

/// The same cleaning without entities, for files that are not markup.
std::string clean_utf8(std::string_view text);

/// At most `length` characters, the last an ellipsis if something was cut. Takes and gives UTF-8.
std::string shorten(std::string_view text, size_t length);

/// How a value is shown.
enum class Unit {
  kPercent,  ///< A share from 0 to 1: "12.3%"
  kRatio,    ///< "1.25×"
  kNumber,   ///< "0.934"
  kBits,     ///< "0.012 bits"
  kCount,    ///< "12" or "12.5"
};

/// NaN (nothing to show) is a dash.
std::string format_value(double value, Unit unit);

}  // namespace foregate::report
