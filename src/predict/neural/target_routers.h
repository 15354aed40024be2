#pragma once

#include <torch/types.h>

#include "predict/training/parameters.h"

namespace foregate::predict {

// Initial values that are the routers of the predictable layers, with the input scale that the
// lead's states need: at layer-h the states are router inputs already, at pre-attention the norm's
// weight is still to be applied. All throw DataError that says how to get the routers if the texts
// have none. They refer to the predictor.

Init target_router(const Predictor& predictor);         ///< W [L', E, H]
Init target_gain(const Predictor& predictor);           ///< g [L', H]
Init scaled_target_router(const Predictor& predictor);  ///< W * g [L', E, H]

}  // namespace foregate::predict
