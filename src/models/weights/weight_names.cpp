#include "models/weights/weight_names.h"

namespace foregate::models {
namespace {

void replace(std::string& text, const std::string& placeholder, int64_t number) {
  const size_t place = text.find(placeholder);
  if (place != std::string::npos) text.replace(place, placeholder.size(), std::to_string(number));
}

}  // namespace

WeightNames llama_weight_names(const std::string& prefix) {
  WeightNames names;
  names.prefix = prefix;
  names.embedding = prefix + "model.embed_tokens.weight";
  names.final_norm = prefix + "model.norm.weight";
  names.lm_head = prefix + "lm_head.weight";
  names.input_norm = prefix + "model.layers.{L}.input_layernorm.weight";
  names.query = prefix + "model.layers.{L}.self_attn.q_proj";
  names.key = prefix + "model.layers.{L}.self_attn.k_proj";
  names.value = prefix + "model.layers.{L}.self_attn.v_proj";
  names.attention_output = prefix + "model.layers.{L}.self_attn.o_proj";
  names.post_attention_norm = prefix + "model.layers.{L}.post_attention_layernorm.weight";
  return names;
}

WeightNames mixtral_weight_names() {
  WeightNames names = llama_weight_names();
  names.router = "model.layers.{L}.block_sparse_moe.gate.weight";
  names.expert_gate = "model.layers.{L}.block_sparse_moe.experts.{E}.w1.weight";
  names.expert_up = "model.layers.{L}.block_sparse_moe.experts.{E}.w3.weight";
  names.expert_down = "model.layers.{L}.block_sparse_moe.experts.{E}.w2.weight";
  return names;
}

void add_dense_mlp_names(WeightNames& names) {
  names.dense_gate = names.prefix + "model.layers.{L}.mlp.gate_proj.weight";
  names.dense_up = names.prefix + "model.layers.{L}.mlp.up_proj.weight";
  names.dense_down = names.prefix + "model.layers.{L}.mlp.down_proj.weight";
}

void add_mlp_expert_names(WeightNames& names) {
  names.router = names.prefix + "model.layers.{L}.mlp.gate.weight";
  names.expert_gate = names.prefix + "model.layers.{L}.mlp.experts.{E}.gate_proj.weight";
  names.expert_up = names.prefix + "model.layers.{L}.mlp.experts.{E}.up_proj.weight";
  names.expert_down = names.prefix + "model.layers.{L}.mlp.experts.{E}.down_proj.weight";
  names.fused_expert_gate_up = names.prefix + "model.layers.{L}.mlp.experts.gate_up_proj";
  names.fused_expert_down = names.prefix + "model.layers.{L}.mlp.experts.down_proj";
}

void add_layer_norm_names(WeightNames& names) {
  names.final_norm_bias = "model.norm.bias";
  names.lm_head_bias = "lm_head.bias";
  names.input_norm_bias = "model.layers.{L}.input_layernorm.bias";
  names.post_attention_norm_bias = "model.layers.{L}.post_attention_layernorm.bias";
}

void add_qk_norm_names(WeightNames& names) {
  names.query_norm = names.prefix + "model.layers.{L}.self_attn.q_norm.weight";
  names.key_norm = names.prefix + "model.layers.{L}.self_attn.k_norm.weight";
}

void add_latent_names(WeightNames& names) {
  names.query_down = names.prefix + "model.layers.{L}.self_attn.q_a_proj.weight";
  names.query_down_norm = names.prefix + "model.layers.{L}.self_attn.q_a_layernorm.weight";
  names.query_up = names.prefix + "model.layers.{L}.self_attn.q_b_proj.weight";
  names.latent = names.prefix + "model.layers.{L}.self_attn.kv_a_proj_with_mqa.weight";
  names.latent_norm = names.prefix + "model.layers.{L}.self_attn.kv_a_layernorm.weight";
  names.latent_expand = names.prefix + "model.layers.{L}.self_attn.kv_b_proj.weight";
}

void add_shared_experts_names(WeightNames& names) {
  names.shared_gate = names.prefix + "model.layers.{L}.mlp.shared_experts.gate_proj.weight";
  names.shared_up = names.prefix + "model.layers.{L}.mlp.shared_experts.up_proj.weight";
  names.shared_down = names.prefix + "model.layers.{L}.mlp.shared_experts.down_proj.weight";
}

std::string weight_name(const std::string& pattern, int64_t layer, int64_t expert) {
  std::string name = pattern;
  replace(name, "{L}", layer);
  replace(name, "{E}", expert);
  return name;
}

}  // namespace foregate::models
