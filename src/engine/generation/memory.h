#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "models/config.h"
#include "tensor/compute.h"

namespace foregate::engine {

/// What generating takes on its device, in bytes.
struct GenerationNeeds {
  int64_t weights = 0;  ///< exact
  int64_t cache = 0;    ///< keys and values, exact
  int64_t step = 0;     ///< upper estimate of what the largest step holds at once

  int64_t total() const { return weights + cache + step; }
};

/// How much is generated at once.
struct GenerationLoad {
  int64_t cache_bytes = 0;
  int64_t step_tokens = 0;
  int64_t sequences = 0;
  /// With all routed experts in host memory: those that an expert cache holds on the device.
  std::optional<int64_t> expert_slots{};
};

GenerationNeeds generation_needs(const models::ModelConfig& config, const tensor::Compute& compute,
                                 const GenerationLoad& load);

/// Throws EnvironmentError, saying what takes how much, unless the needs are at most `memory`
/// bytes.
void require_memory(const models::ModelConfig& config, const tensor::Compute& compute,
                    const GenerationLoad& load, int64_t memory, const std::string& model);

}  // namespace foregate::engine
