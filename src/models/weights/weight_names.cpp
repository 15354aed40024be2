#include "models/weights/weight_names.h"

namespace foregate::models {
namespace {

void replace(std::string& text, const std::string& placeholder, int64_t number) {
  const size_t place = text.find(placeholder);
  if (place != std::string::npos) text.replace(place, placeholder.size(), std::to_string(number));
}

}  // namespace

WeightNames llama_weight_names() {
  WeightNames names;
  names.embedding = "model.embed_tokens.weight";
  names.final_norm = "model.norm.weight";
  names.lm_head = "lm_head.weight";
  names.input_norm = "model.layers.{L}.input_layernorm.weight";
  names.query = "model.layers.{L}.self_attn.q_proj";
  names.key = "model.layers.{L}.self_attn.k_proj";
  names.value = "model.layers.{L}.self_attn.v_proj";
  names.attention_output = "model.layers.{L}.self_attn.o_proj";
  names.post_attention_norm = "model.layers.{L}.post_attention_layernorm.weight";
  return names;
}

void add_dense_mlp_names(WeightNames& names) {
  names.dense_gate = "model.layers.{L}.mlp.gate_proj.weight";
  names.dense_up = "model.layers.{L}.mlp.up_proj.weight";
  names.dense_down = "model.layers.{L}.mlp.down_proj.weight";
}

void add_mlp_expert_names(WeightNames& names) {
  names.router = "model.layers.{L}.mlp.gate.weight";
  names.expert_gate = "model.layers.{L}.mlp.experts.{E}.gate_proj.weight";
  names.expert_up = "model.layers.{L}.mlp.experts.{E}.up_proj.weight";
  names.expert_down = "model.layers.{L}.mlp.experts.{E}.down_proj.weight";
  names.fused_expert_gate_up = "model.layers.{L}.mlp.experts.gate_up_proj";
  names.fused_expert_down = "model.layers.{L}.mlp.experts.down_proj";
}

void add_qk_norm_names(WeightNames& names) {
  names.query_norm = "model.layers.{L}.self_attn.q_norm.weight";
  names.key_norm = "model.layers.{L}.self_attn.k_norm.weight";
}

std::string weight_name(const std::string& pattern, int64_t layer, int64_t expert) {
  std::string name = pattern;
  replace(name, "{L}", layer);
  replace(name, "{E}", expert);
  return name;
}

}  // namespace foregate::models
