#include "models/summary.h"

#include "models/weights/layer_spec.h"

namespace foregate::models {

ModelSummary summarize(const ModelConfig& config) {
  const WeightNames unnamed;
  const OuterWeightSpecs outer = describe_outer_weights(config, unnamed);
  ModelSummary summary;
  int64_t beside_experts = outer.embedding.size() + outer.final_norm.size();
  if (!config.tie_word_embeddings) beside_experts += outer.lm_head.size();
  for (const std::optional<WeightSpec>& bias : {outer.final_norm_bias, outer.lm_head_bias}) {
    if (bias) beside_experts += bias->size();
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    int64_t experts = 0;
    for (const WeightSpec& spec : describe_layer(config, unnamed, layer)) {
      (spec.role == Role::kRoutedExperts ? experts : beside_experts) += spec.size();
    }
    if (experts > 0) summary.per_expert = experts / config.num_experts;
    summary.routed_experts += experts;
  }
  const auto moe_layers = static_cast<int64_t>(config.moe_layers.size());
  summary.total = beside_experts + summary.routed_experts;
  summary.active = beside_experts + moe_layers * config.top_k * summary.per_expert;
  return summary;
}

}  // namespace foregate::models
