#include "offload/cache/lowest.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

namespace foregate::offload {
namespace {

constexpr double kHighest = std::numeric_limits<double>::infinity();
constexpr size_t kWidth = 2;   // of the registers that every processor has
constexpr size_t kChains = 4;  // a minimum waits for the one before it

using Doubles = double __attribute__((vector_size(kWidth * sizeof(double))));

Doubles load_doubles(const double* from) {
  Doubles values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}

/// In this order it is one instruction.
Doubles lower(Doubles a, Doubles b) {
  return a < b ? a : b;
}

/// `some(i)` gives the values of places i and i + 1, `one(i)` that of place i.
template <typename Some, typename One>
double lowest(size_t size, const Some& some, const One& one) {
  Doubles chains[kChains];
  for (Doubles& chain : chains) chain = Doubles{} + kHighest;
  size_t i = 0;
  for (; i + kChains * kWidth <= size; i += kChains * kWidth) {
    for (size_t c = 0; c < kChains; ++c) chains[c] = lower(some(i + c * kWidth), chains[c]);
  }
  const Doubles all = lower(lower(chains[0], chains[1]), lower(chains[2], chains[3]));
  double least = std::min(all[0], all[1]);
  for (; i < size; ++i) least = std::min(least, one(i));
  return least;
}

}  // namespace

double lowest_of(std::span<const double> values) {
  return lowest(
      values.size(), [&](size_t i) { return load_doubles(values.data() + i); },
      [&](size_t i) { return values[i]; });
}

double lowest_tie(std::span<const double> values, double value, std::span<const double> ties) {
  return lowest(
      values.size(),
      [&](size_t i) {
        return load_doubles(values.data() + i) == value ? load_doubles(ties.data() + i)
                                                        : Doubles{} + kHighest;
      },
      [&](size_t i) { return values[i] == value ? ties[i] : kHighest; });
}

}  // namespace foregate::offload
