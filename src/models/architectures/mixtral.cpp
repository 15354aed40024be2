#include "models/architectures/mixtral.h"

#include "models/architectures/config_fields.h"

namespace foregate::models {

ModelConfig parse_mixtral(const JsonReader& reader) {
  ModelConfig config;
  config.model_type = "mixtral";
  read_decoder_fields(reader, config);
  read_attention_fields(reader, config);
  // Unlike Qwen's, a window is in use as soon as it is given.
  refuse_short_window(reader, config);
  refuse_attention_bias(reader);
  for (int layer = 0; layer < config.num_layers; ++layer) config.moe_layers.push_back(layer);
  config.num_experts = reader.integer("num_local_experts", 1, kMaxExperts);
  config.top_k = reader.integer("num_experts_per_tok", 1, config.num_experts);
  config.router.norm_topk = true;  // by the architecture; there is no key
  config.expert_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  return config;
}

std::vector<WeightNames> mixtral_weight_names() {
  WeightNames published = llama_weight_names();
  published.router = "model.layers.{L}.block_sparse_moe.gate.weight";
  published.expert_gate = "model.layers.{L}.block_sparse_moe.experts.{E}.w1.weight";
  published.expert_up = "model.layers.{L}.block_sparse_moe.experts.{E}.w3.weight";
  published.expert_down = "model.layers.{L}.block_sparse_moe.experts.{E}.w2.weight";
  WeightNames in_memory = llama_weight_names();
  add_mlp_expert_names(in_memory);
  return {published, in_memory};
}

}  // namespace foregate::models
