#pragma once

#include "models/config.h"
#include "models/weights/decoder_weights.h"
#include "models/weights/loader.h"

namespace foregate::models {

/// Weights of the config's shapes drawn on the device, as before training: normal with a deviation
/// of 0.02, quantised as asked, norms of one, biases of zero. For measuring speed where there is no
/// checkpoint; which experts such a model chooses means nothing.
DecoderWeights random_weights(const ModelConfig& config, const LoadOptions& options);

}  // namespace foregate::models
