#pragma once

#include <torch/types.h>

#include <filesystem>

#include "models/config.h"
#include "models/decoder_weights.h"

namespace foregate {

struct LoadOptions {
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat32;
  /// Leave out what no routing decision depends on: the last MoE layer's experts and all behind it.
  bool routing_only = true;
  /// Draw the weights instead of reading any (see random_weights).
  bool random = false;
};

/// Checks the checkpoint in `directory` against `config` (see verify_weights), then loads its
/// weights, converted and fused, one layer at a time, so that the host never holds more than one
/// layer twice.
DecoderWeights load_weights(const std::filesystem::path& directory, const ModelConfig& config,
                            const LoadOptions& options);

}  // namespace foregate
