#pragma once

#include <cstdint>

namespace foregate::offload {

/// How the experts that events asked for were found.
struct FoundCount {
  int64_t hits = 0;
  int64_t late = 0;  ///< were on their way
  int64_t misses = 0;
  int64_t on_cpu = 0;  ///< of the misses

  int64_t requests() const { return hits + late + misses; }
};

}  // namespace foregate::offload
