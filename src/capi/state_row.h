#pragma once

#include <cstddef>

#include "capi/history.h"

namespace foregate::capi {

/// values / sqrt(mean(values^2) + 1e-6): what the predictors that read hidden states look at.
void normalise_state(const void* values, StateDtype dtype, size_t size,
                     float* out);  // [size]

}  // namespace foregate::capi
