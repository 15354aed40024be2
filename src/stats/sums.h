#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace foregate::stats {

/// A figure that does not exist, such as the share of nothing.
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Adds `from` to `to`, element by element; how accumulators of several threads become one.
template <typename T>
void add_into(std::vector<T>& to, const std::vector<T>& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace foregate::stats
