#include "models/qwen2_moe.h"

#include "models/config_fields.h"

namespace foregate {

ModelConfig parse_qwen2_moe(const JsonReader& reader) {
  constexpr int64_t kMaxExperts = 65536;  // a trace holds expert numbers in 16 bits
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
  config.norm_topk = reader.boolean("norm_topk_prob");
  config.expert_intermediate_size = reader.integer("moe_intermediate_size", 1, kMaxConfigSize);
  config.shared_intermediate_size =
      reader.integer("shared_expert_intermediate_size", 1, kMaxConfigSize);
  config.shared_expert_gate = true;
  return config;
}

WeightNames qwen2_moe_weight_names() {
  return {
      .embedding = "model.embed_tokens.weight",
      .final_norm = "model.norm.weight",
      .lm_head = "lm_head.weight",
      .input_norm = "model.layers.{L}.input_layernorm.weight",
      .query = "model.layers.{L}.self_attn.q_proj",
      .key = "model.layers.{L}.self_attn.k_proj",
      .value = "model.layers.{L}.self_attn.v_proj",
      .attention_output = "model.layers.{L}.self_attn.o_proj",
      .post_attention_norm = "model.layers.{L}.post_attention_layernorm.weight",
      .dense_gate = "model.layers.{L}.mlp.gate_proj.weight",
      .dense_up = "model.layers.{L}.mlp.up_proj.weight",
      .dense_down = "model.layers.{L}.mlp.down_proj.weight",
      .router = "model.layers.{L}.mlp.gate.weight",
      .expert_gate = "model.layers.{L}.mlp.experts.{E}.gate_proj.weight",
      .expert_up = "model.layers.{L}.mlp.experts.{E}.up_proj.weight",
      .expert_down = "model.layers.{L}.mlp.experts.{E}.down_proj.weight",
      .fused_expert_gate_up = "model.layers.{L}.mlp.experts.gate_up_proj",
      .fused_expert_down = "model.layers.{L}.mlp.experts.down_proj",
      .shared_gate = "model.layers.{L}.mlp.shared_expert.gate_proj.weight",
      .shared_up = "model.layers.{L}.mlp.shared_expert.up_proj.weight",
      .shared_down = "model.layers.{L}.mlp.shared_expert.down_proj.weight",
      .shared_expert_gate = "model.layers.{L}.mlp.shared_expert_gate.weight",
  };
}

}  // namespace foregate
