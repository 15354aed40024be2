#include "models/gguf/gguf_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
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

  void add_attention() {
    const int64_t heads = integer("attention.head_count");
    config_["num_attention_heads"] = heads;
    config_["num_key_value_heads"] = integer("attention.head_count_kv", heads);
    if (has("attention.key_length")) config_["head_dim"] = integer("attention.key_length");
    if (table_.qkv_bias != nullptr) {
      config_[table_.qkv_bias] = model_.find("blk.0.attn_q.bias") != nullptr;
    }
    if (table_.window == ConfigTable::Window::kNever || !has("attention.sliding_window")) return;
    config_["sliding_window"] = integer("attention.sliding_window");
    if (table_.window == ConfigTable::Window::kWhenUsed) config_["use_sliding_window"] = true;
  }

  void add_rope() {
    config_["rope_theta"] = has("rope.freq_base") ? number("rope.freq_base") : 10000.0;
    const std::string scaling = header_.string(key("rope.scaling.type"), "none");
    Json rope = Json::object();
    if (scaling != "none") {
      rope["rope_type"] = scaling;
      if (has("rope.scaling.factor")) rope["factor"] = number("rope.scaling.factor");
      if (has("rope.scaling.original_context_length")) {
        rope["original_max_position_embeddings"] = integer("rope.scaling.original_context_length");
      }
    }
    const int64_t heads = integer("attention.head_count");
    if (has("rope.dimension_count") && heads > 0) {
      const int64_t head_dim = integer("attention.key_length", integer("embedding_length") / heads);
      const int64_t rotated = integer("rope.dimension_count");
      if (rotated < head_dim) {
        rope["partial_rotary_factor"] =
            static_cast<double>(rotated) / static_cast<double>(head_dim);
      }
    }
    if (!rope.empty()) config_["rope_scaling"] = rope;
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
    if (config_.find(table_.expert_size) == config_.end()) {
      const bool of_layers = std::string_view(table_.expert_size) == "intermediate_size";
      config_[table_.expert_size] =
          integer(of_layers ? "feed_forward_length" : "expert_feed_forward_length");
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
    }
    check_router();
  }

  void check_router() {
    constexpr int64_t kSoftmax = 1;
    if (integer("expert_gating_func", kSoftmax) > kSoftmax) {
      header_.fail(key("expert_gating_func"), "1 (softmax), the only one supported");
    }
    // Zero means none, as its absence does.
    if (!has("expert_weights_scale")) return;
    const double scale = number("expert_weights_scale");
    if (scale != 0 && scale != 1) header_.fail(key("expert_weights_scale"), "1");
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
