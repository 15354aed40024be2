#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/config.h"
#include "models/weights/decoder_weights.h"
#include "models/weights/loader.h"

namespace foregate::models {

/// The layers that are run, each made by `make`. The experts of options.offloaded_layers of them,
/// evenly spread so that the device computes between two transfers, move to pinned host memory as
/// soon as their layer is made.
std::vector<LayerWeights> make_layers(
    const ModelConfig& config, const LoadOptions& options,
    const std::function<LayerWeights(int64_t layer, bool with_experts)>& make);

}  // namespace foregate::models
