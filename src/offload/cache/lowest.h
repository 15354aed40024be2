#pragma once

#include <span>

namespace foregate::offload {

/// The lowest of some values, none of them NaN; infinite if there are none.
double lowest_of(std::span<const double> values);

/// The lowest of the ties of those whose value is `value`; infinite if none is.
double lowest_tie(std::span<const double> values, double value, std::span<const double> ties);

}  // namespace foregate::offload
