#include "engine/experts/streamed_experts.h"

#include <c10/core/StreamGuard.h>
#include <torch/types.h>

namespace foregate::engine {

StreamedExperts::StreamedExperts(const std::vector<models::LayerWeights>& layers,
                                 torch::Device device)
    : device_(device) {
  for (const models::LayerWeights& layer : layers) {
    const models::MoeWeights* moe = layer.moe();
    if (moe == nullptr) continue;
    const nn::ExpertWeights& experts = moe->experts;
    experts_.push_back(&experts);
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

StreamedExperts::Slot& StreamedExperts::fill(Slot& slot, size_t hosted) {
  if (slot.holds == hosted) return slot;
  const c10::StreamGuard guard(*copies_);
  tensor::wait_on_stream(slot.used, device_);
  slot.gate_up.copy_from(hosted_[hosted]->gate_up);
  slot.down.copy_from(hosted_[hosted]->down);
  slot.filled = tensor::record_event(device_);
  slot.holds = hosted;
  return slot;
}

nn::ExpertWeights StreamedExperts::shape_of(int moe_layer) const {
  return *experts_[static_cast<size_t>(moe_layer)];
}

void StreamedExperts::use(const ExpertRequest& request, const Work& work) {
  const auto layer = static_cast<size_t>(request.moe_layer);
  ExpertView view{.experts = *experts_[layer], .num_tokens = request.routing.experts.size(0)};
  const size_t hosted = hosted_of_layer_[layer];
  if (hosted == kNone) {
    work(view);
    return;
  }
  const size_t place = slots_[1].holds == hosted ? 1 : 0;
  Slot& slot = fill(slots_[place], hosted);
  // What comes after the last is the first of the next batch.
  fill(slots_[1 - place], (hosted + 1) % hosted_.size());
  tensor::wait_on_stream(slot.filled, device_);
  view.experts.gate_up = slot.gate_up;
  view.experts.down = slot.down;
  work(view);
  slot.used = tensor::record_event(device_);
}

std::unique_ptr<ExpertStore> make_expert_store(const std::vector<models::LayerWeights>& layers,
                                               torch::Device device) {
  return std::make_unique<StreamedExperts>(layers, device);
}

}  // namespace foregate::engine
