#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/experts/cached_experts.h"
#include "engine/experts/expert_store.h"
#include "nn/cuda/expert_cache.h"

namespace foregate::engine {

/// The same cache as CachedExperts, kept by the GPU itself in steps that give a few sequences one
/// token each: they can be recorded as CUDA graphs, and nobody waits for the host. Prompts and
/// larger steps are the host's, which is told before them what the device has done, and tells the
/// device after them. All that the device decides is counted as generated.
///
/// What it prefetches is foreseen by the routers of the next layers from what the running one's saw
/// (`next-gate`).
class DeviceExperts : public ExpertStore {
 public:
  /// Whether this device keeps a cache of this policy by itself.
  static bool can_keep(const offload::Policy& policy, torch::Device device);

  /// As CachedExperts. Throws UsageError also for a device that is no GPU, for policies that the
  /// device does not decide, and for `next_gate` of routers that add biases.
  DeviceExperts(const std::vector<models::LayerWeights>& layers, const trace::Geometry& geometry,
                torch::Device device, const ExpertCacheOptions& options);

  nn::ExpertWeights shape_of(int moe_layer) const override { return host_.shape_of(moe_layer); }
  bool runs_on_device(int64_t tokens) const override;
  void begin_step(const StepBatch& batch, std::span<const int64_t> past) override;
  void begin_layer(int moe_layer) override;
  void see_router_input(int moe_layer, const torch::Tensor& input) override;
  void use(const ExpertRequest& request, const Work& work) override;
  void end_step() override;
  std::optional<ExpertCounts> counts() const override;

 private:
  void tell_device();
  void tell_host();

  trace::Geometry geometry_;
  CachedExperts host_;
  nn::DeviceExpertCache cache_;
  bool device_knows_ = false;
  bool device_decides_ = false;  // the running step
  bool in_step_ = false;
};

}  // namespace foregate::engine
