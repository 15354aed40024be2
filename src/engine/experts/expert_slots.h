#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "engine/experts/copy_lane.h"
#include "nn/experts.h"

namespace foregate::engine {

/// Room for whole experts on the device that computes: stacks of matrices, in which a slot is one
/// place, and the layers in the host's memory that they come from.
class ExpertSlots {
 public:
  /// `layers`: of each MoE layer its experts in pieces (models/weights/expert_pieces.h).
  ExpertSlots(std::vector<const nn::ExpertWeights*> layers, int64_t slots, torch::Device device);

  int64_t expert_bytes() const { return expert_bytes_; }
  /// What an expert consists of, part by part, as bytes: of all slots [slots, n], and of each layer
  /// in the host's memory [E, n].
  const std::vector<torch::Tensor>& slot_bytes() const { return slot_bytes_; }
  const std::vector<std::vector<torch::Tensor>>& host_bytes() const { return host_bytes_; }
  /// A layer's experts by the slots that `matrices` [E] names.
  nn::ExpertWeights weights(int layer, const torch::Tensor& matrices) const;
  /// What has to be copied to bring an expert to a slot.
  std::vector<ExpertPiece> pieces(int layer, int64_t expert, int64_t slot) const;

 private:
  std::vector<const nn::ExpertWeights*> layers_;
  tensor::Weight gate_up_;  // [slots, 2I, H]
  tensor::Weight down_;     // [slots, H, I]
  int64_t expert_bytes_ = 0;
  std::vector<torch::Tensor> slot_bytes_;
  std::vector<std::vector<torch::Tensor>> host_bytes_;
};

}  // namespace foregate::engine
