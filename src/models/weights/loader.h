#pragma once

#include <torch/types.h>

#include <filesystem>

#include "base/run_context.h"
#include "models/config.h"
#include "models/weights/decoder_weights.h"
#include "tensor/weight/quantization.h"

namespace foregate::models {

struct LoadOptions {
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat32;
  /// Of attention, experts, shared experts and dense MLPs.
  tensor::Quantization quantization = tensor::Quantization::kNone;
  /// Leave out what no routing decision depends on: the last MoE layer's experts and all behind it.
  bool routing_only = true;
  /// Of the layers with experts, how many leave their experts in pinned host memory (see
  /// assemble_weights).
  int64_t offloaded_layers = 0;
  /// All experts stay in the host's memory, each in one piece (see expert_pieces.h); pinned if the
  /// device is a GPU.
  bool experts_in_pieces = false;
  /// Draw the weights instead of reading any (see random_weights).
  bool random = false;
  /// Told of tensors that are passed over and labels that are not believed.
  Logger* log = &silent_run().log;
};

/// Checks the checkpoint in `directory`, or the GGUF file of that name, against `config` (see
/// verify_weights), then loads its weights, converted, quantised and fused, piece by piece: beside
/// what is returned, the host holds some 100 MB of them at a time.
DecoderWeights load_weights(const std::filesystem::path& directory, const ModelConfig& config,
                            const LoadOptions& options);

}  // namespace foregate::models
