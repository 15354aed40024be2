#pragma once

#include <cstdint>

#include "models/config.h"

namespace foregate::models {

/// Sizes that follow from a config alone, in parameters (biases and norms included).
struct ModelSummary {
  int64_t total = 0;           ///< every parameter
  int64_t active = 0;          ///< used for one token: top-k experts instead of all
  int64_t per_expert = 0;      ///< one routed expert
  int64_t routed_experts = 0;  ///< all routed experts of all MoE layers
};

ModelSummary summarize(const ModelConfig& config);

}  // namespace foregate::models
