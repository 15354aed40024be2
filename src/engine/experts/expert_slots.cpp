#include "engine/experts/expert_slots.h"

#include <torch/types.h>

#include "models/weights/expert_pieces.h"

namespace foregate::engine {
namespace {

tensor::Weight room_for(const tensor::Weight& like, int64_t slots, torch::Device device) {
  std::vector<int64_t> sizes = like.sizes();
  sizes.front() = slots;
  return tensor::Weight::empty(sizes, like.quantization(), device, like.codes().scalar_type());
}

// Of a stack of contiguous matrices: [E, n] uint8.
torch::Tensor as_bytes(const torch::Tensor& stack) {
  const torch::Tensor bytes = stack.view(torch::kUInt8);
  const int64_t size = stack.numel() / stack.size(0) * static_cast<int64_t>(stack.element_size());
  return bytes.as_strided({stack.size(0), size}, {bytes.stride(0), 1}, bytes.storage_offset());
}

std::vector<torch::Tensor> parts_as_bytes(const nn::ExpertWeights& experts) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& part : models::expert_parts(experts)) parts.push_back(as_bytes(part));
  return parts;
}

}  // namespace

ExpertSlots::ExpertSlots(std::vector<const nn::ExpertWeights*> layers, int64_t slots,
                         torch::Device device)
    : layers_(std::move(layers)),
      gate_up_(room_for(layers_.front()->gate_up, slots, device)),
      down_(room_for(layers_.front()->down, slots, device)),
      slot_bytes_(parts_as_bytes({.gate_up = gate_up_, .down = down_})) {
  for (const torch::Tensor& part : slot_bytes_) expert_bytes_ += part.size(1);
  for (const nn::ExpertWeights* layer : layers_) host_bytes_.push_back(parts_as_bytes(*layer));
}

nn::ExpertWeights ExpertSlots::weights(int layer, const torch::Tensor& matrices) const {
  nn::ExpertWeights weights = *layers_[static_cast<size_t>(layer)];
  weights.gate_up = gate_up_;
  weights.down = down_;
  weights.matrices = matrices;
  return weights;
}

std::vector<ExpertPiece> ExpertSlots::pieces(int layer, int64_t expert, int64_t slot) const {
  std::vector<ExpertPiece> pieces;
  const std::vector<torch::Tensor>& host = host_bytes_[static_cast<size_t>(layer)];
  for (size_t part = 0; part < host.size(); ++part) {
    pieces.push_back({slot_bytes_[part].select(0, slot), host[part].select(0, expert)});
  }
  return pieces;
}

}  // namespace foregate::engine
