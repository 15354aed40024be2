#pragma once

#include <c10/core/Stream.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/experts/expert_store.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {

/// Brings routed experts that stay in the host's memory to the GPU when their layer is run, a whole
/// layer at a time: through two buffers, so that those of one layer arrive while an earlier one
/// computes. A batch passes over every byte once, whatever its size. Layers whose experts are on
/// the device are used as they are: without any other it is the resident store.
class StreamedExperts : public ExpertStore {
 public:
  /// Refers to the experts of the layers.
  StreamedExperts(const std::vector<models::LayerWeights>& layers, torch::Device device);

  nn::ExpertWeights shape_of(int moe_layer) const override;
  bool runs_on_device(int64_t /*tokens*/) const override { return hosted_.empty(); }
  void use(const ExpertRequest& request, const Work& work) override;

 private:
  static constexpr size_t kNone = SIZE_MAX;
  struct Slot {
    tensor::Weight gate_up;
    tensor::Weight down;
    size_t holds = kNone;  // of hosted_
    tensor::DeviceEvent filled;
    tensor::DeviceEvent used;
  };

  Slot& fill(Slot& slot, size_t hosted);

  torch::Device device_;
  std::vector<const nn::ExpertWeights*> experts_;  // by MoE layer
  std::vector<const nn::ExpertWeights*> hosted_;
  std::vector<size_t> hosted_of_layer_;  // by MoE layer; kNone if they are on the device
  std::array<Slot, 2> slots_;
  std::optional<c10::Stream> copies_;
};

}  // namespace foregate::engine
