#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"
#include "engine/observer.h"
#include "nn/routers.h"
#include "tensor/compute.h"
#include "trace/trace.h"

namespace foregate::models {
class Registry;
}

namespace foregate::engine {

struct EngineOptions {
  tensor::Compute compute = {};
  /// On a GPU: of how many layers the routed experts stay in the host's memory (see ExpertOffload).
  int64_t offloaded_layers = 0;
  bool routing_only = true;         ///< leave out lm_head and the last MoE layer's experts
  bool random_weights = false;      ///< read config.json only; for measuring speed
  Logger* log = &silent_run().log;  ///< told of what is passed over in the checkpoint
};

/// Texts packed back to back: no padding, attention does not cross `cu_seqlens`.
struct PackedBatch {
  std::vector<int32_t> token_ids;         ///< [T]
  std::vector<int32_t> cu_seqlens = {0};  ///< [texts + 1], first 0, last T
  int num_texts() const { return static_cast<int>(cu_seqlens.size()) - 1; }
  int num_tokens() const { return static_cast<int>(token_ids.size()); }
  void add(std::span<const int32_t> ids);
};

/// A loaded checkpoint, ready to route.
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

  /// Runs a batch, calling the observer at every MoE layer. Throws DataError for ids outside the
  /// vocabulary, OutOfMemoryError when the batch does not fit.
  void forward(const PackedBatch& batch, EngineObserver& observer);

  const trace::Geometry& geometry() const;
  const std::string& model_type() const;
  const nn::RouterSpec& router_spec() const;
  nn::Routers routers() const;
  torch::Device device() const;
  int64_t max_positions() const;  ///< longest text the model's config allows

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::engine
