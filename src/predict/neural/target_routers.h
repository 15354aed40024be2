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
/// The same, so that logits have the size that the router's have, which counts where they are not
/// only ranked: a state that is a router's input lost its size when it was normalised, and gets
/// that of its norm's weight.
Init target_router_at_scale(const Predictor& predictor);
Init target_logit_bias(const Predictor& predictor);   ///< [L', E]
Init target_choice_bias(const Predictor& predictor);  ///< [L', E]

}  // namespace foregate::predict
