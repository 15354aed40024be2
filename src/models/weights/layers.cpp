#include "models/weights/layers.h"

namespace foregate::models {

std::vector<LayerWeights> make_layers(
    const ModelConfig& config, const LoadOptions& options,
    const std::function<LayerWeights(int64_t layer, bool with_experts)>& make) {
  const int64_t last_moe = config.moe_layers.back();
  const int64_t count = options.routing_only ? last_moe + 1 : config.num_layers;
  const auto hosts =
      static_cast<int64_t>(config.moe_layers.size()) - (options.routing_only ? 1 : 0);
  int64_t made = 0;  // layers with experts
  std::vector<LayerWeights> layers;
  for (int64_t index = 0; index < count; ++index) {
    LayerWeights layer = make(index, !options.routing_only || index != last_moe);
    if (layer.moe && layer.moe->experts.gate_up.defined()) {
      nn::ExpertWeights& experts = layer.moe->experts;
      const auto streamed_before = [&](int64_t n) { return n * options.offloaded_layers / hosts; };
      if (streamed_before(made + 1) > streamed_before(made)) {
        experts = {experts.gate_up.pinned(), experts.down.pinned()};
      }
      ++made;
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace foregate::models
