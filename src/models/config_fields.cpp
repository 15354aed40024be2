#include "models/config_fields.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace foregate::models {
namespace {

constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxPositions = int64_t{1} << 31;

// The rotation must be the plain one: no scaling, all of the head.
void check_rope_kind(const JsonReader& rope) {
  for (const char* key : {"rope_type", "type"}) {
    if (rope.string(key, "default") != "default")
      rope.fail(key, "\"default\", the only one supported");
  }
  if (rope.number("partial_rotary_factor", 0, 1, 1.0) != 1.0) {
    rope.fail("partial_rotary_factor", "1, the only one supported");
  }
}

// Either the old rope_theta beside an empty rope_scaling, or the new rope_parameters.
double read_rope_theta(const JsonReader& reader) {
  constexpr double kLargest = 1e12;
  if (reader.has("rope_scaling")) check_rope_kind(reader.object("rope_scaling"));
  if (!reader.has("rope_parameters")) return reader.number("rope_theta", 1, kLargest);
  const JsonReader rope = reader.object("rope_parameters");
  check_rope_kind(rope);
  if (!rope.has("rope_theta")) return reader.number("rope_theta", 1, kLargest);
  const double theta = rope.number("rope_theta", 1, kLargest);
  if (reader.number("rope_theta", 1, kLargest, theta) != theta) {
    reader.fail("rope_theta", fmt::format("{:g}, as in rope_parameters", theta));
  }
  return theta;
}

bool window_may_cut(const JsonReader& reader, const ModelConfig& config) {
  return reader.has("sliding_window") &&
         reader.integer("sliding_window", 0, INT64_MAX) < config.max_positions;
}

std::string no_short_window(const ModelConfig& config) {
  return fmt::format(
      "full attention, or a sliding_window of at least max_position_embeddings, {}: shorter "
      "windows are not supported",
      config.max_positions);
}

}  // namespace

void read_decoder_fields(const JsonReader& reader, ModelConfig& config) {
  config.vocab_size = reader.integer("vocab_size", 1, kMaxConfigSize);
  config.hidden_size = reader.integer("hidden_size", 1, kMaxConfigSize);
  config.num_layers = reader.integer("num_hidden_layers", 1, kMaxLayers);
  config.max_positions = reader.integer("max_position_embeddings", 1, kMaxPositions);
  config.rms_norm_epsilon = reader.number("rms_norm_eps", 0, 1);
  // Absent means false; if that is wrong, loading says that lm_head.weight is missing.
  config.tie_word_embeddings = reader.boolean("tie_word_embeddings", false);
  if (reader.string("hidden_act") != "silu") {
    reader.fail("hidden_act", "\"silu\", the only one supported");
  }
  config.storage = read_weight_storage(reader);
}

GroupedQueryConfig read_grouped_query_fields(const JsonReader& reader, int64_t hidden_size) {
  GroupedQueryConfig attention;
  attention.num_heads = reader.integer("num_attention_heads", 1, kMaxConfigSize);
  attention.num_kv_heads = reader.integer("num_key_value_heads", 1, attention.num_heads);
  if (attention.num_heads % attention.num_kv_heads != 0) {
    reader.fail("num_key_value_heads",
                fmt::format("a divisor of num_attention_heads, {}", attention.num_heads));
  }
  if (!reader.has("head_dim") && hidden_size % attention.num_heads != 0) {
    reader.fail("num_attention_heads",
                fmt::format("a divisor of hidden_size, {}, or a head_dim", hidden_size));
  }
  attention.head_dim =
      reader.integer("head_dim", 1, kMaxConfigSize, hidden_size / attention.num_heads);
  if (attention.head_dim % 2 != 0) {
    reader.fail(reader.has("head_dim") ? "head_dim" : "num_attention_heads",
                fmt::format("heads of an even size, not {}", attention.head_dim));
  }
  attention.rope_theta = read_rope_theta(reader);
  return attention;
}

void refuse_short_window(const JsonReader& reader, const ModelConfig& config) {
  if (window_may_cut(reader, config)) reader.fail("sliding_window", no_short_window(config));
}

void refuse_sliding_window(const JsonReader& reader, const ModelConfig& config) {
  const std::string expected = no_short_window(config);
  if (reader.boolean("use_sliding_window", false) && window_may_cut(reader, config)) {
    reader.fail("use_sliding_window", expected);
  }
  if (!reader.has("layer_types")) return;
  for (const std::string& type : reader.strings("layer_types")) {
    const bool slides = type == "sliding_attention";
    if ((!slides && type != "full_attention") || (slides && window_may_cut(reader, config))) {
      reader.fail("layer_types", expected);
    }
  }
}

void read_sparse_layers(const JsonReader& reader, ModelConfig& config) {
  const int64_t step = reader.integer("decoder_sparse_step", 1, kMaxLayers);
  std::set<int64_t> dense;
  if (reader.has("mlp_only_layers")) {
    for (const int64_t layer : reader.integers("mlp_only_layers")) {
      if (layer < 0 || layer >= config.num_layers) {
        reader.fail("mlp_only_layers",
                    fmt::format("layer numbers in [0, {}]", config.num_layers - 1));
      }
      dense.insert(layer);
    }
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if ((layer + 1) % step == 0 && !dense.contains(layer)) {
      config.moe_layers.push_back(static_cast<int>(layer));
    }
  }
  if (config.moe_layers.empty()) {
    reader.fail("decoder_sparse_step",
                fmt::format("a step that, with mlp_only_layers, leaves an MoE layer among the {}",
                            config.num_layers));
  }
}

void read_layers_behind_dense(const JsonReader& reader, ModelConfig& config) {
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

}  // namespace foregate::models
