#pragma once

#include <cstddef>

namespace foregate {

/// Rows above this are skipped: memory stays bounded, and no model reads a text that long.
inline constexpr size_t kMaxRowBytes = 8 << 20;
inline constexpr const char* kRowTooLong = "longer than 8 MiB";
inline constexpr const char* kBlankRow = "blank row";

}  // namespace foregate
