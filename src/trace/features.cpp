#include "trace/features.h"

#include <fmt/format.h>

#include "base/hash.h"

namespace foregate::trace::features {

bool is_chosen(const std::string& dataset, int64_t row, uint64_t seed, double fraction) {
  const uint64_t hash = stable_hash(fmt::format("{}\n{}", dataset, row), seed);
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < fraction;
}

}  // namespace foregate::trace::features
