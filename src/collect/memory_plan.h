#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "models/config.h"
#include "tensor/compute.h"

namespace foregate::collect {

/// What a run asked for, and what it may take.
struct MemoryPlanRequest {
  tensor::Compute compute = {};  ///< without a quantisation it is chosen
  int64_t batch_tokens = 0;      ///< 0: chosen
  int64_t longest_text = 0;      ///< tokens; the smallest batch that must fit
  int64_t memory = 0;            ///< bytes that may be taken
  int64_t host_memory = 0;       ///< bytes that a GPU's weights may take there
};

struct MemoryPlan {
  tensor::Quantization quantization = tensor::Quantization::kNone;
  int64_t batch_tokens = 0;
  int64_t offloaded_layers = 0;  ///< of so many, the experts stay in the host's memory
  int64_t host_bytes = 0;        ///< what they take there
  int64_t weight_bytes = 0;
  int64_t batch_bytes = 0;
};

/// Chooses what was not asked for: the first of none, int8 and nf4 whose weights fit, and the
/// largest batch that fits beside them, up to what keeps the device busy. A checkpoint that
/// save_quantized() wrote keeps its own quantisation. Where that is too large for a GPU, it leaves
/// the experts of as few layers as it can in the host's memory. Throws EnvironmentError that says
/// what would fit if nothing does.
MemoryPlan choose_memory_plan(const models::ModelConfig& config, const MemoryPlanRequest& request,
                              const std::string& model);

/// "weights in int8: 14.9 GB; batches of 4,096 tokens: 0.5 GB; ..."
std::string description(const MemoryPlan& plan, int64_t memory, torch::Device device);

/// Bytes that a run may take on `device`: `limit` if it is not 0, otherwise nearly all that is free
/// now.
int64_t usable_memory(torch::Device device, int64_t limit);

}  // namespace foregate::collect
