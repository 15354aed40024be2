#pragma once

#include <cstdint>
#include <string>

namespace foregate {

/// "8GB" -> 8,000,000,000. A number, possibly with a fraction, and a unit: B (or none), kB, MB, GB,
/// TB in powers of 1000, KiB, MiB, GiB, TiB in powers of 1024; case and a space between do not
/// matter. Throws UsageError, naming `what`, for anything else and for less than one byte.
int64_t parse_bytes(const std::string& text, const std::string& what);

}  // namespace foregate
