#include "models/architecture.h"

#include <fmt/core.h>

#include "models/config_fields.h"
#include "trace/geometry.h"

namespace foregate::models {
namespace {

void require_only_value(const JsonReader& reader, const ConfigTable::OnlyValue& only) {
  if (std::holds_alternative<std::nullptr_t>(only.value)) {
    if (reader.has(only.key)) reader.fail(only.key, "null, the only value supported");
  } else if (const bool* flag = std::get_if<bool>(&only.value)) {
    if (reader.boolean(only.key, *flag) != *flag) {
      reader.fail(only.key, fmt::format("{}, the only value supported", *flag));
    }
  } else {
    const std::string text = std::get<const char*>(only.value);
    if (reader.string(only.key, text) != text) {
      reader.fail(only.key, fmt::format("\"{}\", the only one supported", text));
    }
  }
}

GroupedQueryConfig read_attention(const JsonReader& reader, const ConfigTable& table,
                                  int64_t hidden_size) {
  GroupedQueryConfig attention = read_grouped_query_fields(reader, hidden_size);
  if (table.qkv_bias == nullptr) require_only_value(reader, {"attention_bias", false});
  attention.qkv_bias = table.qkv_bias != nullptr && reader.boolean(table.qkv_bias, true);
  attention.qk_norm = table.qk_norm;
  return attention;
}

void read_window(const JsonReader& reader, ConfigTable::Window window, const ModelConfig& config) {
  switch (window) {
    case ConfigTable::Window::kNever:
      break;
    case ConfigTable::Window::kWhenGiven:
      refuse_short_window(reader, config);
      break;
    case ConfigTable::Window::kWhenUsed:
      refuse_sliding_window(reader, config);
      break;
  }
}

void read_layers(const JsonReader& reader, ConfigTable::Layers layers, ModelConfig& config) {
  switch (layers) {
    case ConfigTable::Layers::kAll:
      for (int layer = 0; layer < config.num_layers; ++layer) config.moe_layers.push_back(layer);
      break;
    case ConfigTable::Layers::kBySparseStep:
      read_sparse_layers(reader, config);
      break;
    case ConfigTable::Layers::kDenseFirst:
      read_layers_behind_dense(reader, config);
      break;
  }
  if (static_cast<int64_t>(config.moe_layers.size()) < config.num_layers) {
    config.dense_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  }
}

void read_experts(const JsonReader& reader, const ConfigTable& table, ModelConfig& config) {
  const char* count = table.num_experts.back();
  for (const char* key : table.num_experts) {
    if (!reader.has(key)) continue;
    count = key;
    break;
  }
  config.num_experts = reader.integer(count, 1, trace::kMaxExperts);
  for (const char* key : table.num_experts) {
    if (reader.integer(key, 1, trace::kMaxExperts, config.num_experts) != config.num_experts) {
      reader.fail(key, fmt::format("{}, as {} says", config.num_experts, count));
    }
  }
  config.top_k = reader.integer("num_experts_per_tok", 1, config.num_experts);
  config.router = table.router;
  if (table.norm_topk != nullptr) config.router.norm_topk = reader.boolean(table.norm_topk);
  config.router_logit_bias = table.router_logit_bias;
  config.router_choice_bias = table.router_choice_bias;
  trace::check_router_spec(config.router, config.num_experts, config.top_k, reader.where());
  config.expert_intermediate_size = reader.integer(table.expert_size, 1, kMaxConfigSize);
  if (table.shared_size != nullptr) {
    config.shared_intermediate_size = reader.integer(table.shared_size, 1, kMaxConfigSize);
  }
  if (table.shared_count != nullptr) {
    // They are one MLP, so many times as wide.
    config.shared_intermediate_size = reader.integer(table.shared_count, 0, trace::kMaxExperts, 0) *
                                      config.expert_intermediate_size;
  }
  config.shared_expert_gate = table.shared_gate;
}

}  // namespace

ModelConfig parse_config(const Architecture& architecture, const JsonReader& reader) {
  const ConfigTable& table = architecture.config;
  ModelConfig config;
  config.model_type = architecture.model_type;
  config.spellings = architecture.spellings;
  read_decoder_fields(reader, config);
  config.attention = read_attention(reader, table, config.hidden_size);
  read_window(reader, table.window, config);
  for (const ConfigTable::OnlyValue& only : table.only) require_only_value(reader, only);
  read_layers(reader, table.layers, config);
  read_experts(reader, table, config);
  return config;
}

}  // namespace foregate::models
