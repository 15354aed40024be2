#pragma once

#include <c10/core/Stream.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "models/weights/decoder_weights.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {

/// Brings routed experts that stay in the host's memory to the GPU when their layer is run: through
/// two buffers, so that those of one layer arrive while an earlier one computes. A batch passes
/// over every byte once, whatever its size.
class ExpertOffload {
 public:
  /// Refers to the experts of the layers whose experts are not on `device`.
  ExpertOffload(const std::vector<models::LayerWeights>& layers, torch::Device device);

  /// Calls `work` with the experts of a layer on the device. It must use them on the current stream
  /// only, and not keep them.
  void use(int moe_layer, const nn::ExpertWeights& experts,
           const std::function<void(const nn::ExpertWeights&)>& work);

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
  std::vector<const nn::ExpertWeights*> hosted_;
  std::vector<size_t> hosted_of_layer_;  // by MoE layer; kNone if they are on the device
  std::array<Slot, 2> slots_;
  std::optional<c10::Stream> copies_;
};

}  // namespace foregate::engine
