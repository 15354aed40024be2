#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/run_context.h"
#include "engine/experts/cache_options.h"
#include "engine/experts/expert_counts.h"
#include "engine/kv_cache.h"
#include "engine/observer.h"
#include "engine/step.h"
#include "nn/routers.h"
#include "tensor/compute.h"
#include "trace/trace.h"

namespace foregate::models {
class Registry;
}

namespace foregate::engine {

struct EngineOptions {
  tensor::Compute compute = {};
  /// On a GPU: of how many layers the routed experts stay in the host's memory (see
  /// StreamedExperts).
  int64_t offloaded_layers = 0;
  /// All routed experts stay in the host's memory and come through a cache; not with routing_only.
  std::optional<ExpertCacheOptions> expert_cache = {};
  bool routing_only = true;         ///< leave out lm_head and the last MoE layer's experts
  bool random_weights = false;      ///< read config.json only; for measuring speed
  Logger* log = &silent_run().log;  ///< told of what is passed over in the checkpoint
};

/// A loaded checkpoint, ready to route, and to say what comes next.
class Engine {
 public:
  /// Loads config.json and the weights. Throws EnvironmentError, DataError (config, missing,
  /// unexpected or wrongly shaped tensors, all named) or DeviceError.
  Engine(const std::filesystem::path& model_directory, const EngineOptions& options);
  /// Likewise, of an architecture of this registry.
  Engine(const std::filesystem::path& model_directory, const EngineOptions& options,
         const models::Registry& architectures);
  ~Engine();
  Engine(Engine&&) noexcept;

  /// Runs the new tokens of some texts, calling the observer at every MoE layer. With a cache they
  /// follow what it has of their sequences and are added to it, unless an error is thrown; without
  /// one every text is whole. Throws DataError for ids outside the vocabulary and for texts longer
  /// than max_positions(), OutOfMemoryError when the step or its tokens do not fit.
  StepResult step(const StepBatch& batch, EngineObserver& observer, KvCache* cache = nullptr);

  /// A cache for this engine's sequences, of at most `budget` bytes, in Compute::cache_dtype().
  KvCache new_cache(int64_t budget, int64_t page_tokens = KvCache::kPageTokens) const;
  /// Bytes of keys and values that one token takes.
  int64_t cache_bytes_per_token() const;

  const trace::Geometry& geometry() const;
  const std::string& model_type() const;
  const nn::RouterSpec& router_spec() const;
  nn::Routers routers() const;
  torch::Device device() const;
  int64_t max_positions() const;  ///< longest text the model's config allows
  int64_t vocab_size() const;
  /// What the expert cache did so far; nothing without one.
  std::optional<ExpertCounts> expert_counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::engine
