#include "models/architectures/deepseek.h"

#include <fmt/core.h>

#include "models/architectures/config_fields.h"

namespace foregate::models {
namespace {

// Layers from first_k_dense_replace on whose number moe_layer_freq divides.
void read_moe_layers(const JsonReader& reader, ModelConfig& config) {
  const int64_t dense = reader.integer("first_k_dense_replace", 0, config.num_layers);
  const int64_t step = reader.integer("moe_layer_freq", 1, config.num_layers);
  for (int64_t layer = dense; layer < config.num_layers; ++layer) {
    if (layer % step == 0) config.moe_layers.push_back(static_cast<int>(layer));
  }
  if (config.moe_layers.empty()) {
    reader.fail("first_k_dense_replace",
                fmt::format("a number that, with moe_layer_freq, leaves an MoE layer among the {}",
                            config.num_layers));
  }
}

}  // namespace

ModelConfig parse_deepseek(const JsonReader& reader) {
  ModelConfig config;
  config.model_type = "deepseek";
  read_decoder_fields(reader, config);
  read_attention_fields(reader, config);
  refuse_attention_bias(reader);
  read_moe_layers(reader, config);
  if (static_cast<int64_t>(config.moe_layers.size()) < config.num_layers) {
    config.dense_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  }
  config.num_experts = reader.integer("n_routed_experts", 1, kMaxExperts);
  config.top_k = reader.integer("num_experts_per_tok", 1, config.num_experts);
  config.router.norm_topk = reader.boolean("norm_topk_prob");
  if (reader.string("scoring_func", "softmax") != "softmax") {
    reader.fail("scoring_func", "\"softmax\", the only one supported");
  }
  config.expert_intermediate_size = reader.integer("moe_intermediate_size", 1, kMaxConfigSize);
  // null and absent: none. Otherwise they are one MLP, so many times as wide.
  const int64_t shared = reader.integer("n_shared_experts", 0, kMaxExperts, 0);
  config.shared_intermediate_size = shared * config.expert_intermediate_size;
  return config;
}

std::vector<WeightNames> deepseek_weight_names() {
  WeightNames names = llama_weight_names();
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  names.shared_gate = "model.layers.{L}.mlp.shared_experts.gate_proj.weight";
  names.shared_up = "model.layers.{L}.mlp.shared_experts.up_proj.weight";
  names.shared_down = "model.layers.{L}.mlp.shared_experts.down_proj.weight";
  return {names};
}

}  // namespace foregate::models
