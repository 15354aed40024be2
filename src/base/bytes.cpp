#include "base/bytes.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string_view>

#include "base/error.h"

namespace foregate {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr double kKilo = 1e3;
constexpr double kKibi = 1024;
constexpr std::array kUnits = {
    Unit{"", 1},
    Unit{"b", 1},
    Unit{"kb", kKilo},
    Unit{"mb", kKilo* kKilo},
    Unit{"gb", kKilo* kKilo* kKilo},
    Unit{"tb", kKilo* kKilo* kKilo* kKilo},
    Unit{"kib", kKibi},
    Unit{"mib", kKibi* kKibi},
    Unit{"gib", kKibi* kKibi* kKibi},
    Unit{"tib", kKibi* kKibi* kKibi* kKibi},
};
constexpr double kMostBytes = 1e18;

}  // namespace

int64_t parse_bytes(const std::string& text, const std::string& what) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  std::string unit(stop, end);
  unit.erase(0, unit.find_first_not_of(' '));
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* known = std::find_if(kUnits.begin(), kUnits.end(),
                                   [&](const Unit& candidate) { return candidate.name == unit; });
  if (error == std::errc() && known != kUnits.end()) {
    const double bytes = number * known->bytes;
    if (bytes >= 1 && bytes <= kMostBytes) return static_cast<int64_t>(bytes);
  }
  throw UsageError(
      fmt::format("{} is '{}'; expected a size such as 8GB, 7.5GiB or 500MB", what, text));
}

}  // namespace foregate
