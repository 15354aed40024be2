#include "models/architectures/olmoe.h"

#include "models/architectures/config_fields.h"

namespace foregate::models {

ModelConfig parse_olmoe(const JsonReader& reader) {
  ModelConfig config;
  config.model_type = "olmoe";
  read_decoder_fields(reader, config);
  read_attention_fields(reader, config);
  refuse_attention_bias(reader);
  if (reader.has("clip_qkv")) reader.fail("clip_qkv", "null, the only value supported");
  config.qk_norm = QkNorm::kProjection;
  for (int layer = 0; layer < config.num_layers; ++layer) config.moe_layers.push_back(layer);
  config.num_experts = reader.integer("num_experts", 1, kMaxExperts);
  config.top_k = reader.integer("num_experts_per_tok", 1, config.num_experts);
  config.router.norm_topk = reader.boolean("norm_topk_prob");
  config.expert_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  return config;
}

std::vector<WeightNames> olmoe_weight_names() {
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_mlp_expert_names(names);
  return {names};
}

}  // namespace foregate::models
