#include "models/architectures/qwen3_moe.h"

#include "models/architectures/config_fields.h"

namespace foregate::models {

ModelConfig parse_qwen3_moe(const JsonReader& reader) {
  ModelConfig config;
  config.model_type = "qwen3_moe";
  read_decoder_fields(reader, config);
  read_attention_fields(reader, config);
  refuse_sliding_window(reader, config);
  refuse_attention_bias(reader);
  config.qk_norm = QkNorm::kHead;
  read_sparse_layers(reader, config);
  if (static_cast<int64_t>(config.moe_layers.size()) < config.num_layers) {
    config.dense_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  }
  // transformers 5 saves the count under a name of its own.
  const char* count = reader.has("num_experts") ? "num_experts" : "num_local_experts";
  config.num_experts = reader.integer(count, 1, kMaxExperts);
  config.top_k = reader.integer("num_experts_per_tok", 1, config.num_experts);
  config.router.norm_topk = reader.boolean("norm_topk_prob");
  config.expert_intermediate_size = reader.integer("moe_intermediate_size", 1, kMaxConfigSize);
  return config;
}

std::vector<WeightNames> qwen3_moe_weight_names() {
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  return {names};
}

}  // namespace foregate::models
