#include "models/gguf/gguf_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "models/gguf/gguf_architectures.h"

namespace foregate::models {
namespace {

constexpr int64_t kLargestNumber = std::numeric_limits<int32_t>::max();
constexpr const char* kEmbedding = "token_embd.weight";

/// Translates the keys of one architecture.
class Translator {
 public:
  Translator(const GgufModel& model, const GgufArchitecture& gguf, const ConfigTable& table)
      : model_(model), header_(model.header()), gguf_(gguf), table_(table) {}

  Json translate() {
    config_["model_type"] = gguf_.model_type;
    add_sizes();
    add_attention();
    add_rope();
    add_layers();
    add_experts();
    add_ends_of_text();
    return std::move(config_);
  }

 private:
  std::string key(const char* name) const { return fmt::format("{}.{}", gguf_.name, name); }
  bool has(const char* name) const { return header_.has(key(name)); }
  int64_t integer(const char* name) const { return header_.integer(key(name), 0, kLargestNumber); }
  int64_t integer(const char* name, int64_t fallback) const {
    return header_.integer(key(name), 0, kLargestNumber, fallback);
  }
  double number(const char* name) const { return header_.number(key(name)); }

  void add_sizes() {
    const tensor::TensorEntry* embedding = model_.find(kEmbedding);
    if (embedding == nullptr || embedding->shape.size() != 2) {
      throw DataError(
          fmt::format("{}: there is no matrix {}; the file holds no model, or not all of one",
                      model_.path().string(), kEmbedding));
    }
    config_["vocab_size"] = embedding->shape[0];
    config_["hidden_size"] = integer("embedding_length");
    num_layers_ = integer("block_count") - integer("nextn_predict_layers", 0);
    config_["num_hidden_layers"] = num_layers_;
    config_["max_position_embeddings"] = integer("context_length");
    config_["rms_norm_eps"] = number("attention.layer_norm_rms_epsilon");
    config_["hidden_act"] = "silu";
    config_["tie_word_embeddings"] = model_.find("output.weight") == nullptr;
    if (has("feed_forward_length")) config_["intermediate_size"] = integer("feed_forward_length");
  }

  bool is_latent() const { return table_.attention == ConfigTable::Attention::kLatent; }

  void add_attention() {
    const int64_t heads = integer("attention.head_count");
    config_["num_attention_heads"] = heads;
    if (is_latent()) return add_latent();
    config_["num_key_value_heads"] = integer("attention.head_count_kv", heads);
    if (has("attention.key_length")) config_["head_dim"] = integer("attention.key_length");
    if (table_.qkv_bias != nullptr) {
      config_[table_.qkv_bias] = model_.find("blk.0.attn_q.bias") != nullptr;
    }
    if (table_.window == ConfigTable::Window::kNever || !has("attention.sliding_window")) return;
    config_["sliding_window"] = integer("attention.sliding_window");
    if (table_.window == ConfigTable::Window::kWhenUsed) config_["use_sliding_window"] = true;
  }

  // Files with the matrices cut (see GgufLatentExpansions) speak of heads as llama.cpp runs them,
  // by latents, and have keys of their own for heads as they are.
  void add_latent() {
    const int64_t head_dim =
        integer("attention.key_length_mla", integer("attention.key_length", 0));
    const int64_t rotated = integer("rope.dimension_count");
    config_["q_lora_rank"] =
        has("attention.q_lora_rank") ? Json(integer("attention.q_lora_rank")) : Json();
    config_["kv_lora_rank"] = integer("attention.kv_lora_rank");
    config_["qk_nope_head_dim"] = head_dim - rotated;
    config_["qk_rope_head_dim"] = rotated;
    config_["v_head_dim"] = has("attention.value_length_mla")
                                ? integer("attention.value_length_mla")
                                : integer("attention.value_length");
  }

  void add_rope() {
    config_["rope_theta"] = has("rope.freq_base") ? number("rope.freq_base") : 10000.0;
    const std::string scaling = header_.string(key("rope.scaling.type"), "none");
    Json rope = {{"rope_type", scaling == "none" ? "default" : scaling}};
    if (scaling != "none") add_scaling(rope);
    if (!is_latent()) add_rotated_part(rope);
    config_["rope_scaling"] = rope;
  }

  void add_scaling(Json& rope) {
    struct Field {
      const char* key;
      const char* name;
    };
    constexpr std::array kFields = {
        Field{"factor", "factor"}, Field{"yarn_attn_factor", "attention_factor"},
        Field{"yarn_beta_fast", "beta_fast"}, Field{"yarn_beta_slow", "beta_slow"}};
    for (const Field& field : kFields) {
      const std::string stored = fmt::format("rope.scaling.{}", field.key);
      if (has(stored.c_str())) rope[field.name] = number(stored.c_str());
    }
    if (has("rope.scaling.original_context_length")) {
      rope["original_max_position_embeddings"] = integer("rope.scaling.original_context_length");
    }
    if (gguf_.exact_yarn) rope["truncate"] = false;
    if (!is_latent() || !has("rope.scaling.yarn_log_multiplier")) return;
    // A tenth of mscale_all_dim. Of the two the file has one, and published models have them equal.
    const double mscale = as_written(number("rope.scaling.yarn_log_multiplier") / 0.1);
    rope["mscale"] = rope["mscale_all_dim"] = mscale;
  }

  void add_rotated_part(Json& rope) {
    const int64_t heads = integer("attention.head_count");
    if (has("rope.dimension_count") && heads > 0) {
      const int64_t head_dim = integer("attention.key_length", integer("embedding_length") / heads);
      const int64_t rotated = integer("rope.dimension_count");
      if (rotated < head_dim) {
        rope["partial_rotary_factor"] =
            static_cast<double>(rotated) / static_cast<double>(head_dim);
      }
    }
  }

  // Files do not say which layers are dense; their tensors do.
  void add_layers() {
    switch (table_.layers) {
      case ConfigTable::Layers::kAll:
      case ConfigTable::Layers::kByInterval:  // of none of the architectures that are read so far
        break;
      case ConfigTable::Layers::kBySparseStep: {
        config_["decoder_sparse_step"] = 1;
        Json dense = Json::array();
        for (int64_t layer = 0; layer < num_layers_; ++layer) {
          if (model_.find(fmt::format("blk.{}.ffn_gate_inp.weight", layer)) == nullptr) {
            dense.push_back(layer);
          }
        }
        config_["mlp_only_layers"] = dense;
        break;
      }
      case ConfigTable::Layers::kDenseFirst:
        config_["first_k_dense_replace"] = integer("leading_dense_block_count", 0);
        config_["moe_layer_freq"] = 1;
        break;
    }
  }

  void add_experts() {
    if (integer("expert_count", 0) == 0) {
      header_.fail(key("expert_count"), "a number of experts: a model without any routes nothing");
    }
    config_[table_.num_experts.front()] = integer("expert_count");
    config_["num_experts_per_tok"] = integer("expert_used_count");
    const bool as_layers = std::string_view(table_.expert_size) == "intermediate_size";
    if (!as_layers || has("expert_feed_forward_length")) {
      config_[table_.expert_size] = integer("expert_feed_forward_length");
    } else {
      config_[table_.expert_size] = integer("feed_forward_length");
    }
    if (table_.shared_size != nullptr) {
      // Without a key of its own the shared expert is as wide as a dense layer.
      config_[table_.shared_size] = has("expert_shared_feed_forward_length")
                                        ? integer("expert_shared_feed_forward_length")
                                        : integer("feed_forward_length");
    }
    if (table_.shared_count != nullptr) {
      config_[table_.shared_count] = integer("expert_shared_count", 0);
    }
    if (table_.norm_topk != nullptr) {
      config_[table_.norm_topk] = header_.boolean(key("expert_weights_norm"), gguf_.norm_topk);
    } else if (has("expert_weights_norm")) {
      config_["norm_topk_prob"] = header_.boolean(key("expert_weights_norm"));
    }
    add_router();
  }

  void add_router() {
    // Zero means none, as its absence does.
    const double stored = has("expert_weights_scale") ? number("expert_weights_scale") : 0;
    const double scale = stored == 0 ? 1 : stored;
    if (table_.scale != nullptr) {
      config_[table_.scale] = scale;
    } else if (scale != 1) {
      header_.fail(key("expert_weights_scale"), "1");
    }
    add_groups();
  }

  void add_groups() {
    const int64_t groups = integer("expert_group_count", 1);
    switch (table_.groups) {
      case ConfigTable::Groups::kNever:
        if (groups > 1) header_.fail(key("expert_group_count"), "1");
        return;
      case ConfigTable::Groups::kByMethod:
        config_["topk_method"] = groups > 1 ? "group_limited_greedy" : "greedy";
        break;
      case ConfigTable::Groups::kByCount:
        break;
    }
    config_["n_group"] = groups;
    config_["topk_group"] = integer("expert_group_used_count", 1);
  }

  void add_ends_of_text() {
    Json ids = Json::array();
    for (const char* name : {"eos", "eot", "eom"}) {
      const std::string end = fmt::format("tokenizer.ggml.{}_token_id", name);
      if (!header_.has(end)) continue;
      const int64_t id = header_.integer(end, 0, kLargestNumber);
      if (std::find(ids.begin(), ids.end(), Json(id)) == ids.end()) ids.push_back(id);
    }
    if (!ids.empty()) config_["eos_token_id"] = ids;
  }

  const GgufModel& model_;
  const GgufHeader& header_;
  const GgufArchitecture& gguf_;
  const ConfigTable& table_;
  int64_t num_layers_ = 0;
  Json config_ = Json::object();
};

}  // namespace

Json gguf_config(const GgufModel& model, const Registry& registry) {
  const GgufArchitecture& gguf = find_gguf_architecture(model.header());
  const Architecture& architecture = registry.find(std::string(gguf.model_type));
  return Translator(model, gguf, architecture.config).translate();
}

}  // namespace foregate::models
