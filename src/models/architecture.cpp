#include "models/architecture.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.h"
#include "models/config_fields.h"
#include "models/rotary_fields.h"
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
  } else if (const int64_t* number = std::get_if<int64_t>(&only.value)) {
    if (reader.integer(only.key, INT64_MIN, INT64_MAX, *number) != *number) {
      reader.fail(only.key, fmt::format("{}, the only value supported", *number));
    }
  } else if (std::holds_alternative<ConfigTable::AllOnes>(only.value)) {
    if (!reader.has(only.key)) return;
    for (const int64_t value : reader.integers(only.key)) {
      if (value != 1) reader.fail(only.key, "a list of ones, the only one supported");
    }
  } else {
    const std::string text = std::get<const char*>(only.value);
    if (reader.string(only.key, text) != text) {
      reader.fail(only.key, fmt::format("\"{}\", the only one supported", text));
    }
  }
}

GroupedQueryConfig read_grouped_query(const JsonReader& reader, const ConfigTable& table,
                                      int64_t hidden_size) {
  GroupedQueryConfig attention = read_grouped_query_fields(reader, hidden_size);
  if (table.qkv_bias == nullptr) require_only_value(reader, {"attention_bias", false});
  if (table.qkv_bias != nullptr) {
    attention.qkv_bias = table.qkv_bias_if_absent
                             ? reader.boolean(table.qkv_bias, *table.qkv_bias_if_absent)
                             : reader.boolean(table.qkv_bias);
  }
  if (table.qk_norm_switch == nullptr || reader.boolean(table.qk_norm_switch)) {
    attention.qk_norm = table.qk_norm;
  }
  attention.output_bias = table.output_bias && attention.qkv_bias;
  attention.sinks = table.sinks;
  if (table.multipliers) attention.softmax_scale = read_multiplier(reader, "attention_multiplier");
  if (table.spelled_rotary && !reader.has("rope_scaling") && !reader.has("rope_parameters")) {
    throw DataError(fmt::format(
        "{}: missing key 'rope_scaling'; expected how the rotation is scaled, {{\"rope_type\": "
        "\"default\"}} if it is not: of this architecture its absence means different things to "
        "different programs",
        reader.where()));
  }
  if (!table.partial_rotary) refuse_partial_rotary(reader, attention.head_dim);
  attention.rotary = read_rotary(
      reader,
      table.partial_rotary ? read_rotary_width(reader, attention.head_dim) : attention.head_dim,
      table.longrope);
  attention.rotary.pairs = table.rotary_pairs;
  return attention;
}

LatentConfig read_latent(const JsonReader& reader, const ConfigTable& table) {
  require_only_value(reader, {"attention_bias", false});
  LatentConfig attention = read_latent_fields(reader);
  refuse_partial_rotary(reader, attention.rope_dim);
  attention.rotary = read_rotary(reader, attention.rope_dim);
  attention.rotary.pairs = table.rotary_pairs;
  if (table.interleaved != nullptr && !reader.boolean(table.interleaved, true)) {
    attention.rotary.pairs = nn::Rotary::Pairs::kHalves;
  }
  const auto head_dim = static_cast<double>(attention.nope_dim + attention.rope_dim);
  attention.softmax_scale = read_deepseek_score_factor(reader) / std::sqrt(head_dim);
  return attention;
}

AttentionConfig read_attention(const JsonReader& reader, const ConfigTable& table,
                               int64_t hidden_size) {
  switch (table.attention) {
    case ConfigTable::Attention::kGroupedQuery:
      return read_grouped_query(reader, table, hidden_size);
    case ConfigTable::Attention::kLatent:
      return read_latent(reader, table);
  }
  throw std::logic_error("an attention of no kind");
}

void read_window(const JsonReader& reader, ConfigTable::Window window, ModelConfig& config) {
  switch (window) {
    case ConfigTable::Window::kNever:
      break;
    case ConfigTable::Window::kWhenGiven:
      refuse_short_window(reader, config);
      break;
    case ConfigTable::Window::kBehindLayers:
      refuse_window_behind_layers(reader, config);
      break;
    case ConfigTable::Window::kWhenUsed:
      refuse_sliding_window(reader, config);
      break;
    case ConfigTable::Window::kByLayer:
      std::get<GroupedQueryConfig>(config.attention).windows = read_layer_windows(reader, config);
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
    case ConfigTable::Layers::kByInterval:
      read_layers_by_interval(reader, config);
      break;
  }
  if (static_cast<int64_t>(config.moe_layers.size()) < config.num_layers) {
    config.dense_intermediate_size = reader.integer("intermediate_size", 1, kMaxConfigSize);
  }
}

bool has_groups(const JsonReader& reader, ConfigTable::Groups groups) {
  switch (groups) {
    case ConfigTable::Groups::kNever:
      return false;
    case ConfigTable::Groups::kByCount:
      return true;
    case ConfigTable::Groups::kByMethod:
      break;
  }
  const std::string method = reader.string("topk_method");
  if (method != "greedy" && method != "group_limited_greedy") {
    reader.fail("topk_method", "\"greedy\" or \"group_limited_greedy\", the ones supported");
  }
  return method != "greedy";
}

trace::RouterSpec read_router(const JsonReader& reader, const ConfigTable& table,
                              int64_t num_experts) {
  constexpr double kLargestScale = 1e6;
  trace::RouterSpec router = table.router;
  if (table.norm_topk != nullptr) router.norm_topk = reader.boolean(table.norm_topk);
  if (table.min_sum != nullptr) {
    router.min_sum = reader.number(table.min_sum, 0, 1, router.min_sum);
  }
  if (table.jitter != nullptr) router.jitter = reader.number(table.jitter, 0, 1, router.jitter);
  if (table.scale != nullptr) router.scale = reader.number(table.scale, 0, kLargestScale);
  if (has_groups(reader, table.groups)) {
    router.groups = reader.integer("n_group", 1, num_experts);
    router.top_groups = reader.integer("topk_group", 1, router.groups);
  }
  return router;
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
  config.top_k = reader.integer(table.top_k, 1, config.num_experts);
  config.router = read_router(reader, table, config.num_experts);
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
  config.expert_bias = table.expert_bias;
  if (table.clamped_swiglu) config.expert_activation = read_clamped_swiglu(reader);
}

void limit_texts(ModelConfig& config, int64_t longest, const char* key) {
  if (longest >= config.max_positions) return;
  config.max_positions = longest;
  config.max_positions_key = key;
}

// The decoder's part of config.json.
JsonReader decoder_reader(const JsonReader& whole, const ConfigTable& table) {
  if (table.decoder == nullptr) return whole;
  const JsonReader reader = whole.object(table.decoder);
  const std::string type = reader.string("model_type");
  for (const char* known : table.decoder_types) {
    if (type == known) return reader;
  }
  reader.fail("model_type",
              fmt::format("{}, the ones supported", fmt::join(table.decoder_types, " or ")));
}

}  // namespace

ModelConfig parse_config(const Architecture& architecture, const JsonReader& whole) {
  const ConfigTable& table = architecture.config;
  const JsonReader reader = decoder_reader(whole, table);
  ModelConfig config;
  config.model_type = architecture.model_type;
  config.spellings = architecture.spellings;
  read_decoder_fields(reader, config);
  // Of a decoder inside a larger model either may speak of it.
  config.storage = read_weight_storage(reader.has("quantization_config") ? reader : whole);
  if (table.longest_text != nullptr) {
    limit_texts(config, reader.integer(table.longest_text, 1, INT64_MAX), table.longest_text);
  }
  if (table.multipliers) config.multipliers = read_multipliers(reader);
  config.norm = table.norm;
  config.lm_head_bias = table.lm_head_bias && reader.boolean("lm_head_bias", false);
  config.attention = read_attention(reader, table, config.hidden_size);
  if (const std::optional<int64_t> longest = read_longest_rotation(reader)) {
    limit_texts(config, *longest, "original_max_position_embeddings");
  }
  read_window(reader, table.window, config);
  for (const ConfigTable::OnlyValue& only : table.only) require_only_value(reader, only);
  if (!table.silu_unless_said || reader.has("hidden_act")) require_silu(reader);
  read_layers(reader, table.layers, config);
  read_experts(reader, table, config);
  return config;
}

}  // namespace foregate::models
