#pragma once

#include <torch/types.h>

#include <cstdint>

#include "models/config.h"
#include "tensor/weight/quantization.h"

namespace foregate::engine {

/// How much of a model is loaded: see EngineOptions::routing_only.
enum class Extent : uint8_t { kRoutingOnly, kWhole };

/// What running a model takes on its device, in bytes. Weights are exact; the rest is an upper
/// estimate from the shapes that are alive at once.
struct MemoryNeeds {
  int64_t weights = 0;
  int64_t scratch = 0;    ///< quantised weights of one step, dequantised
  int64_t per_token = 0;  ///< of a packed batch: what the layers hold, and what is recorded

  int64_t layer_experts = 0;  ///< of `weights`: the routed experts of one layer
  int64_t expert_layers = 0;  ///< that have any

  int64_t with_batch(int64_t tokens) const { return weights + scratch + tokens * per_token; }
  /// With the experts of so many layers in the host's memory. Two layers' worth of buffers stay.
  MemoryNeeds streamed(int64_t layers) const {
    MemoryNeeds needs = *this;
    if (layers > 0) needs.weights -= (layers - 2) * layer_experts;
    return needs;
  }
};

/// What one routed expert takes, without biases: the size of a slot of an expert cache.
int64_t expert_bytes(const models::ModelConfig& config, tensor::Quantization quantization,
                     torch::ScalarType dtype);

MemoryNeeds memory_needs(const models::ModelConfig& config, tensor::Quantization quantization,
                         torch::ScalarType dtype, torch::Device device,
                         Extent extent = Extent::kRoutingOnly);

}  // namespace foregate::engine
