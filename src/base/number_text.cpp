#include "base/number_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <iterator>

namespace foregate {
namespace {

/// What all of the text is as a T.
template <typename T>
std::optional<T> parse_all(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::string with_commas(int64_t value) {
  const std::string digits = std::to_string(value);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool behind_digit = i > 0 && digits[i - 1] != '-';
    if (behind_digit && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string plural_of(std::string_view noun) {
  const bool hisses = noun.ends_with('s') || noun.ends_with("ch") || noun.ends_with('x');
  return fmt::format("{}{}", noun, hisses ? "es" : "s");
}

std::string number_of(int64_t count, std::string_view noun) {
  return fmt::format("{} {}", with_commas(count), count == 1 ? std::string(noun) : plural_of(noun));
}

std::string clock_time(double seconds) {
  const auto total = static_cast<int64_t>(seconds + 0.5);
  if (total >= 3600)
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(units)) value /= 1000, ++unit;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::optional<uint64_t> parse_whole_number(std::string_view text) {
  return parse_all<uint64_t>(text);
}

std::optional<double> parse_decimal(std::string_view text) {
  const std::optional<double> value = parse_all<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace foregate
