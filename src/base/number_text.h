#pragma once

#include <cstdint>
#include <string>

namespace foregate {

/// 1234567 -> "1,234,567".
std::string with_commas(int64_t value);
/// Seconds -> "1:02:03" or "2:03".
std::string clock_time(double seconds);
/// Bytes -> "1.2 GB" (powers of 1000).
std::string human_bytes(uint64_t bytes);

}  // namespace foregate
