#include "base/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <unordered_set>

namespace foregate {

uint64_t Random::below(uint64_t bound) {
  // Lemire, "Fast random integer generation in an interval" (2019).
  auto product = static_cast<unsigned __int128>(next()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = (0 - bound) % bound;
    while (static_cast<uint64_t>(product) < threshold) {
      product = static_cast<unsigned __int128>(next()) * bound;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::vector<int64_t> Random::sample_sorted(int64_t population, int64_t count) {
  if (count < 0 || count > population) throw std::logic_error("sample_sorted: count > population");
  // Floyd's algorithm: `count` draws whatever the population's size.
  std::unordered_set<int64_t> chosen;
  for (int64_t last = population - count; last < population; ++last) {
    const auto pick = static_cast<int64_t>(below(static_cast<uint64_t>(last) + 1));
    if (!chosen.insert(pick).second) chosen.insert(last);
  }
  std::vector<int64_t> sorted(chosen.begin(), chosen.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace foregate
