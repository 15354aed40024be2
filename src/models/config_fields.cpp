#include "models/config_fields.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"

namespace foregate::models {
namespace {

constexpr int64_t kMaxLayers = 4096;
constexpr double kLargestMultiplier = 1e6;
constexpr int64_t kMaxPositions = int64_t{1} << 31;

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
  return attention;
}

LatentConfig read_latent_fields(const JsonReader& reader) {
  LatentConfig attention;
  attention.num_heads = reader.integer("num_attention_heads", 1, kMaxConfigSize);
  if (reader.integer("num_key_value_heads", 1, kMaxConfigSize, attention.num_heads) !=
      attention.num_heads) {
    reader.fail("num_key_value_heads",
                fmt::format("{}, as many as num_attention_heads", attention.num_heads));
  }
  // Null where queries are not compressed; the key itself must be there.
  if (!reader.json().contains("q_lora_rank")) reader.integer("q_lora_rank", 1, kMaxConfigSize);
  if (reader.has("q_lora_rank")) {
    attention.query_rank = reader.integer("q_lora_rank", 1, kMaxConfigSize);
  }
  attention.kv_rank = reader.integer("kv_lora_rank", 1, kMaxConfigSize);
  attention.nope_dim = reader.integer("qk_nope_head_dim", 1, kMaxConfigSize);
  attention.rope_dim = reader.integer("qk_rope_head_dim", 2, kMaxConfigSize);
  if (attention.rope_dim % 2 != 0) reader.fail("qk_rope_head_dim", "an even number");
  attention.value_dim = reader.integer("v_head_dim", 1, kMaxConfigSize);
  // transformers gives these norms the epsilon of their class, whatever rms_norm_eps says.
  attention.norm_epsilon = 1e-6;
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

void refuse_window_behind_layers(const JsonReader& reader, const ModelConfig& config) {
  if (reader.has("layer_types")) {
    refuse_sliding_window(reader, config);
  } else if (window_may_cut(reader, config) &&
             reader.integer("max_window_layers", 0, INT64_MAX) < config.num_layers) {
    reader.fail("sliding_window", no_short_window(config));
  }
}

void require_silu(const JsonReader& reader) {
  if (reader.string("hidden_act") != "silu") {
    reader.fail("hidden_act", "\"silu\", the only one supported");
  }
}

Multipliers read_multipliers(const JsonReader& reader) {
  constexpr double kLeastScaling = 1e-6;
  return {.embedding = read_multiplier(reader, "embedding_multiplier"),
          .residual = read_multiplier(reader, "residual_multiplier"),
          .logits = 1 / reader.number("logits_scaling", kLeastScaling, kLargestMultiplier, 1.0)};
}

double read_multiplier(const JsonReader& reader, const char* key) {
  return reader.number(key, -kLargestMultiplier, kLargestMultiplier, 1.0);
}

std::vector<int64_t> read_layer_windows(const JsonReader& reader, const ModelConfig& config) {
  const auto layers = static_cast<size_t>(config.num_layers);
  std::vector<bool> slides(layers);
  for (size_t layer = 0; layer < layers; ++layer) slides[layer] = layer % 2 == 0;
  if (reader.has("layer_types")) {
    const std::vector<std::string> types = reader.strings("layer_types");
    if (types.size() != layers) {
      reader.fail("layer_types", fmt::format("one type for each of the {} layers", layers));
    }
    for (size_t layer = 0; layer < layers; ++layer) {
      slides[layer] = types[layer] == "sliding_attention";
      if (!slides[layer] && types[layer] != "full_attention") {
        reader.fail("layer_types", "sliding_attention and full_attention only");
      }
    }
  }
  if (std::ranges::none_of(slides, std::identity())) return {};
  const int64_t window = reader.integer("sliding_window", 1, INT64_MAX);
  if (window >= config.max_positions) return {};
  std::vector<int64_t> windows(layers);
  for (size_t layer = 0; layer < layers; ++layer) windows[layer] = slides[layer] ? window : 0;
  return windows;
}

nn::GatedActivation read_clamped_swiglu(const JsonReader& reader) {
  constexpr double kLargest = 1e6;
  constexpr double kUsualLimit = 7.0;
  constexpr double kUsualAlpha = 1.702;
  return {.kind = nn::GatedActivation::Kind::kClampedSwiglu,
          .limit = reader.number("swiglu_limit", 0, kLargest, kUsualLimit),
          .alpha = reader.number("swiglu_alpha", 0, kLargest, kUsualAlpha)};
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
  const bool listed = reader.has("mlp_layer_types");
  if (listed) {
    const std::vector<std::string> types = reader.strings("mlp_layer_types");
    if (static_cast<int64_t>(types.size()) < config.num_layers) {
      reader.fail("mlp_layer_types", fmt::format("one for each of {} layers", config.num_layers));
    }
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      if (types[layer] == "sparse") {
        config.moe_layers.push_back(static_cast<int>(layer));
      } else if (types[layer] != "dense") {
        reader.fail("mlp_layer_types", "\"dense\" and \"sparse\", the ones supported");
      }
    }
  } else {
    const int64_t dense = reader.integer("first_k_dense_replace", 0, config.num_layers);
    const int64_t step = reader.integer("moe_layer_freq", 1, config.num_layers, 1);
    for (int64_t layer = dense; layer < config.num_layers; ++layer) {
      if (layer % step == 0) config.moe_layers.push_back(static_cast<int>(layer));
    }
  }
  if (!config.moe_layers.empty()) return;
  reader.fail(listed ? "mlp_layer_types" : "first_k_dense_replace",
              fmt::format("what leaves an MoE layer among the {}", config.num_layers));
}

void read_layers_by_interval(const JsonReader& reader, ModelConfig& config) {
  const int64_t last = config.num_layers - 1;
  const int64_t start = reader.integer("moe_layer_start_index", 0, last);
  int64_t end = reader.integer("moe_layer_end_index", -1, kMaxLayers);
  if (end == -1) end = last;
  const int64_t interval = reader.integer("moe_layer_interval", 1, config.num_layers);
  for (int64_t layer = start; layer <= std::min(end, last); ++layer) {
    if ((layer + 1) % interval == 0) config.moe_layers.push_back(static_cast<int>(layer));
  }
  if (config.moe_layers.empty()) {
    reader.fail("moe_layer_interval",
                fmt::format("what, with moe_layer_start_index and moe_layer_end_index, leaves an "
                            "MoE layer among the {}",
                            config.num_layers));
  }
}

}  // namespace foregate::models
