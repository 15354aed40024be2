#include "engine/expert_stream.h"

#include <c10/core/StreamGuard.h>
#include <torch/torch.h>

namespace foregate {

ExpertStream::ExpertStream(const std::vector<LayerWeights>& layers, torch::Device device)
    : device_(device) {
  for (const LayerWeights& layer : layers) {
    if (!layer.moe) continue;
    const nn::ExpertWeights& experts = layer.moe->experts;
    const bool here = !experts.gate_up.defined() || experts.gate_up.device() == device;
    hosted_of_layer_.push_back(here ? kNone : hosted_.size());
    if (!here) hosted_.push_back(&experts);
  }
  if (hosted_.empty()) return;
  for (Slot& slot : slots_) {
    slot.weights = {hosted_.front()->gate_up.empty_like(device),
                    hosted_.front()->down.empty_like(device)};
  }
  copies_ = new_stream(device);
}

ExpertStream::Slot& ExpertStream::fill(Slot& slot, size_t hosted) {
  if (slot.holds == hosted) return slot;
  const c10::StreamGuard guard(*copies_);
  wait_on_stream(slot.used, device_);
  slot.weights.gate_up.copy_from(hosted_[hosted]->gate_up);
  slot.weights.down.copy_from(hosted_[hosted]->down);
  slot.filled = timing_mark(device_);
  slot.holds = hosted;
  return slot;
}

void ExpertStream::use(int moe_layer, const nn::ExpertWeights& experts,
                       const std::function<void(const nn::ExpertWeights&)>& work) {
  const size_t hosted = hosted_of_layer_[static_cast<size_t>(moe_layer)];
  if (hosted == kNone) {
    work(experts);
    return;
  }
  const size_t place = slots_[1].holds == hosted ? 1 : 0;
  Slot& slot = fill(slots_[place], hosted);
  // What comes after the last is the first of the next batch.
  fill(slots_[1 - place], (hosted + 1) % hosted_.size());
  wait_on_stream(slot.filled, device_);
  work(slot.weights);
  slot.used = timing_mark(device_);
}

}  // namespace foregate
