#pragma once

#include <cstddef>

#include "scoring/sequence.h"

namespace foregate::scoring {

/// values / sqrt(mean(values^2) + 1e-6): what the predictors that read hidden states look at.
void normalize_state(const void* values, StateDtype dtype, size_t size,
                     float* out);  // [size]

}  // namespace foregate::scoring
