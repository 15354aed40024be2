#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace foregate::scoring {

/// Where an id stands in an ascending list; -1 if it does not.
inline int64_t index_of(std::span<const int64_t> ids, int64_t id) {
  const auto found = std::lower_bound(ids.begin(), ids.end(), id);
  return found != ids.end() && *found == id ? found - ids.begin() : -1;
}

}  // namespace foregate::scoring
