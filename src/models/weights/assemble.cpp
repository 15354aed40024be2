#include "models/weights/assemble.h"

#include "models/weights/expert_pieces.h"

namespace foregate::models {
namespace {

LayerWeights assemble_layer(const ModelConfig& config, std::vector<WeightSpec> specs,
                            bool with_experts, const MakeWeights& make) {
  if (!with_experts) {
    std::erase_if(specs, [](const WeightSpec& spec) { return spec.role != Role::kRouting; });
  }
  LayerWeights layer;
  std::vector<tensor::Weight> weights = make(specs);
  for (size_t i = 0; i < specs.size(); ++i) specs[i].set(layer, std::move(weights[i]));
  if (MoeWeights* moe = layer.moe()) moe->experts.activation = config.expert_activation;
  return layer;
}

std::vector<LayerWeights> assemble_layers(const ModelConfig& config, const LoadOptions& options,
                                          const DescribeLayer& describe, const MakeWeights& make) {
  const int64_t last_moe = config.moe_layers.back();
  const int64_t count = options.routing_only ? last_moe + 1 : config.num_layers;
  const auto hosts =
      static_cast<int64_t>(config.moe_layers.size()) - (options.routing_only ? 1 : 0);
  const auto offloaded_before = [&](int64_t n) { return n * options.offloaded_layers / hosts; };
  int64_t made = 0;  // layers with experts
  std::vector<LayerWeights> layers;
  for (int64_t index = 0; index < count; ++index) {
    LayerWeights layer =
        assemble_layer(config, describe(index), !options.routing_only || index != last_moe, make);
    if (MoeWeights* moe = layer.moe(); moe != nullptr && moe->experts.gate_up.defined()) {
      nn::ExpertWeights& experts = moe->experts;
      if (options.experts_in_pieces) {
        experts = in_pieces(experts, options.device.is_cuda());
      } else if (offloaded_before(made + 1) > offloaded_before(made)) {
        experts.gate_up = experts.gate_up.pinned();
        experts.down = experts.down.pinned();
      }
      ++made;
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace

DecoderWeights assemble_weights(const ModelConfig& config, const LoadOptions& options,
                                const OuterWeightSpecs& outer, const DescribeLayer& describe,
                                const MakeWeights& make) {
  const auto make_one = [&](const WeightSpec& spec) { return make({&spec, 1}).front().dense(); };
  DecoderWeights weights;
  weights.embedding = make_one(outer.embedding);
  weights.layers = assemble_layers(config, options, describe, make);
  if (options.routing_only) return weights;
  weights.final_norm = make_one(outer.final_norm);
  if (outer.final_norm_bias) weights.final_norm_bias = make_one(*outer.final_norm_bias);
  if (outer.lm_head_bias) weights.lm_head_bias = make_one(*outer.lm_head_bias);
  weights.lm_head = config.tie_word_embeddings ? weights.embedding : make_one(outer.lm_head);
  return weights;
}

}  // namespace foregate::models
