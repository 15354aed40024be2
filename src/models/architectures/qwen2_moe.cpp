#include "models/architectures/qwen2_moe.h"

#include "models/architectures/config_fields.h"

namespace foregate::models {

ModelConfig parse_qwen2_moe(const JsonReader& reader) {
  ModelConfig config;
  config.model_type = "qwen2_moe";
  read_decoder_fields(reader, config);
  read_attention_fields(reader, config);
  refuse_sliding_window(reader, config);
  read_sparse_layers(reader, config);
  // Published checkpoints are older than the key, and have the biases.
  config.qkv_bias = reader.boolean("qkv_bias", true);
  if (static_cast<int64_t>(config.moe_layers.size()) < config.num_layers) {
    config.dense_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  }
  config.num_experts = reader.integer("num_experts", 1, kMaxExperts);
  config.top_k = reader.integer("num_experts_per_tok", 1, config.num_experts);
  config.router.norm_topk = reader.boolean("norm_topk_prob");
  config.expert_intermediate_size = reader.integer("moe_intermediate_size", 1, kMaxConfigSize);
  config.shared_intermediate_size =
      reader.integer("shared_expert_intermediate_size", 1, kMaxConfigSize);
  config.shared_expert_gate = true;
  return config;
}

std::vector<WeightNames> qwen2_moe_weight_names() {
  WeightNames names = llama_weight_names();
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  names.shared_gate = "model.layers.{L}.mlp.shared_expert.gate_proj.weight";
  names.shared_up = "model.layers.{L}.mlp.shared_expert.up_proj.weight";
  names.shared_down = "model.layers.{L}.mlp.shared_expert.down_proj.weight";
  names.shared_expert_gate = "model.layers.{L}.mlp.shared_expert_gate.weight";
  return {names};
}

}  // namespace foregate::models
