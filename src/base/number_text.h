#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace foregate {

/// 1234567 -> "1,234,567".
std::string with_commas(int64_t value);
/// 1, "text" -> "1 text"; 1234, "batch" -> "1,234 batches".
std::string number_of(int64_t count, std::string_view noun);
/// "text" -> "texts", "batch" -> "batches".
std::string plural_of(std::string_view noun);
/// Seconds -> "1:02:03" or "2:03".
std::string clock_time(double seconds);
/// Bytes -> "1.2 GB" (powers of 1000).
std::string human_bytes(uint64_t bytes);

/// The whole number that the text is, in decimal digits and nothing else; nothing if it is none
/// (a sign, a fraction, an exponent, 0x10) or does not fit into 64 bits.
std::optional<uint64_t> parse_whole_number(std::string_view text);
/// The number that the text is, in decimal notation, with a fraction and an exponent if it likes;
/// nothing if it is none, infinite or not a number.
std::optional<double> parse_decimal(std::string_view text);

}  // namespace foregate
