#include "engine/expert_offload.h"

#include <c10/core/StreamGuard.h>
#include <torch/types.h>

namespace foregate::engine {

ExpertOffload::ExpertOffload(const std::vector<models::LayerWeights>& layers, torch::Device device)
    : device_(device) {
  for (const models::LayerWeights& layer : layers) {
    const models::MoeWeights* moe = layer.moe();
    if (moe == nullptr) continue;
    const nn::ExpertWeights& experts = moe->experts;
    const bool here = !experts.gate_up.defined() || experts.gate_up.device() == device;
    hosted_of_layer_.push_back(here ? kNone : hosted_.size());
    if (!here) hosted_.push_back(&experts);
  }
  if (hosted_.empty()) return;
  for (Slot& slot : slots_) {
    slot.gate_up = hosted_.front()->gate_up.empty_like(device);
    slot.down = hosted_.front()->down.empty_like(device);
  }
  copies_ = tensor::new_stream(device);
}

ExpertOffload::Slot& ExpertOffload::fill(Slot& slot, size_t hosted) {
  if (slot.holds == hosted) return slot;
  const c10::StreamGuard guard(*copies_);
  tensor::wait_on_stream(slot.used, device_);
  slot.gate_up.copy_from(hosted_[hosted]->gate_up);
  slot.down.copy_from(hosted_[hosted]->down);
  slot.filled = tensor::record_event(device_);
  slot.holds = hosted;
  return slot;
}

void ExpertOffload::use(int moe_layer, const nn::ExpertWeights& experts,
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
  tensor::wait_on_stream(slot.filled, device_);
  nn::ExpertWeights here = experts;
  here.gate_up = slot.gate_up;
  here.down = slot.down;
  work(here);
  slot.used = tensor::record_event(device_);
}

}  // namespace foregate::engine
