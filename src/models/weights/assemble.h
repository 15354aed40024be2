#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/config.h"
#include "models/weights/decoder_weights.h"
#include "models/weights/layer_spec.h"
#include "models/weights/loader.h"

namespace foregate::models {

/// Makes weights that are like `specs`, from wherever they come, in the same order.
using MakeWeights = std::function<std::vector<tensor::Weight>(std::span<const WeightSpec> specs)>;
/// Lists the weights of a layer: see describe_layer.
using DescribeLayer = std::function<std::vector<WeightSpec>(int64_t layer)>;

/// Makes the weights that are run, in the order in which they are described. The experts of
/// options.offloaded_layers layers, evenly spread so that the device computes between two
/// transfers, move to pinned host memory as soon as their layer is made.
DecoderWeights assemble_weights(const ModelConfig& config, const LoadOptions& options,
                                const OuterWeightSpecs& outer, const DescribeLayer& describe,
                                const MakeWeights& make);

}  // namespace foregate::models
