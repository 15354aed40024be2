#include "models/summary.h"

namespace foregate::models {
namespace {

/// gate, up and down projection.
int64_t mlp_parameters(int64_t hidden, int64_t intermediate) {
  return 3 * hidden * intermediate;
}

int64_t attention_parameters(const ModelConfig& config) {
  const int64_t query = config.num_heads * config.head_dim;
  const int64_t key_value = 2 * config.num_kv_heads * config.head_dim;
  const int64_t bias = config.qkv_bias ? query + key_value : 0;
  const int64_t norms = config.qk_norm == QkNorm::kNone   ? 0
                        : config.qk_norm == QkNorm::kHead ? 2 * config.head_dim
                                                          : query + key_value / 2;
  return config.hidden_size * (query + key_value) + bias + norms + query * config.hidden_size;
}

}  // namespace

ModelSummary summarize(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const auto moe_layers = static_cast<int64_t>(config.moe_layers.size());
  ModelSummary summary;
  summary.per_expert = mlp_parameters(hidden, config.expert_intermediate_size);
  summary.routed_experts = moe_layers * config.num_experts * summary.per_expert;

  const int64_t embeddings = config.vocab_size * hidden * (config.tie_word_embeddings ? 1 : 2);
  const int64_t every_layer = attention_parameters(config) + 2 * hidden;
  const int64_t dense = mlp_parameters(hidden, config.dense_intermediate_size);
  const int64_t beside_experts = hidden * config.num_experts +
                                 mlp_parameters(hidden, config.shared_intermediate_size) +
                                 (config.shared_expert_gate ? hidden : 0);
  const int64_t common = embeddings + hidden + config.num_layers * every_layer +
                         (config.num_layers - moe_layers) * dense + moe_layers * beside_experts;
  summary.total = common + summary.routed_experts;
  summary.active = common + moe_layers * config.top_k * summary.per_expert;
  return summary;
}

}  // namespace foregate::models
