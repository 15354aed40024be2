#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/run_context.h"
#include "engine/experts/cache_options.h"
#include "engine/experts/expert_counts.h"
#include "engine/generation/generator.h"
#include "models/config.h"
#include "tensor/compute.h"
#include "tensor/device/device_memory.h"

namespace foregate::engine {

/// What `foregate bench generate` does.
struct GenerationBenchmarkOptions {
  std::filesystem::path model;  ///< a checkpoint; empty: random weights of `geometry`
  std::string geometry = "qwen1.5-moe-a2.7b";  ///< see models::benchmark_model_names()
  tensor::Compute compute{};
  int64_t texts = 1;            ///< continued at once
  int64_t prompt_tokens = 512;  ///< of each, random
  int64_t tokens = 128;         ///< added to each, likeliest first
  int64_t rounds = 3;           ///< after one to warm up
  /// The expert cache of a model with this config; none: all experts are on the device.
  std::function<std::optional<ExpertCacheOptions>(const models::ModelConfig&)> expert_cache{};
  int64_t max_memory = 0;        ///< bytes of the device to fit into; 0: what there is
  std::filesystem::path work{};  ///< made, and removed afterwards
};

struct GenerationBenchmark {
  GenerationStats fastest;  ///< round by seconds of decoding
  double load_seconds = 0;
  double least_prefill_seconds = 0;  ///< of any round
  int64_t cache_bytes = 0;
  tensor::DeviceMemory memory{};
  std::optional<ExpertCounts> experts{};  ///< of all rounds, if there is a cache

  double prefill_tokens_per_second() const;
  /// Of tokens that had a step of their own: a text's first comes with its prompt.
  double decode_tokens_per_second() const;
};

/// Throws as Engine and Generator do, and UsageError for texts longer than the model's context.
GenerationBenchmark benchmark_generation(const GenerationBenchmarkOptions& options,
                                         const RunContext& run = silent_run());

}  // namespace foregate::engine
