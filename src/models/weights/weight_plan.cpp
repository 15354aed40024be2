#include "models/weights/weight_plan.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <set>

#include "base/error.h"
#include "models/weights/stored_weight.h"
#include "tensor/dtype.h"

namespace foregate::models {
namespace {

using Shape = std::vector<int64_t>;

// Collects one layer's tensors.
class LayerPlan {
 public:
  LayerPlan(const ModelConfig& config, const WeightNames& names, int64_t layer,
            std::vector<ExpectedTensor>& plan)
      : config_(config), names_(names), layer_(layer), plan_(plan) {}

  void add_attention() {
    const int64_t query = config_.num_heads * config_.head_dim;
    const int64_t key = config_.num_kv_heads * config_.head_dim;
    add(names_.input_norm, {config_.hidden_size});
    add_projection(names_.query, query);
    add_projection(names_.key, key);
    add_projection(names_.value, key);
    if (config_.qk_norm != QkNorm::kNone) {
      const bool by_head = config_.qk_norm == QkNorm::kHead;
      add(names_.query_norm, {by_head ? config_.head_dim : query});
      add(names_.key_norm, {by_head ? config_.head_dim : key});
    }
    add_matrix(names_.attention_output + ".weight", {config_.hidden_size, query});
    add(names_.post_attention_norm, {config_.hidden_size});
  }

  void add_dense() {
    add_mlp(names_.dense_gate, names_.dense_up, names_.dense_down, config_.dense_intermediate_size);
  }

  void add_moe(const tensor::Checkpoint& checkpoint) {
    const int64_t inner = config_.expert_intermediate_size;
    add(names_.router, {config_.num_experts, config_.hidden_size});
    if (checkpoint.find(weight_name(names_.fused_expert_gate_up, layer_)) != nullptr) {
      add_matrix(names_.fused_expert_gate_up,
                 {config_.num_experts, 2 * inner, config_.hidden_size});
      add_matrix(names_.fused_expert_down, {config_.num_experts, config_.hidden_size, inner});
    } else {
      for (int64_t expert = 0; expert < config_.num_experts; ++expert) {
        add_mlp(names_.expert_gate, names_.expert_up, names_.expert_down, inner, expert);
      }
    }
    if (config_.shared_intermediate_size > 0) {
      add_mlp(names_.shared_gate, names_.shared_up, names_.shared_down,
              config_.shared_intermediate_size);
    }
    if (config_.shared_expert_gate) add(names_.shared_expert_gate, {1, config_.hidden_size});
  }

 private:
  void add(const std::string& pattern, Shape shape) {
    plan_.push_back({weight_name(pattern, layer_), std::move(shape)});
  }
  void add_matrix(const std::string& pattern, Shape shape, int64_t expert = 0) {
    plan_.push_back({.name = weight_name(pattern, layer_, expert),
                     .shape = std::move(shape),
                     .quantizable = true});
  }
  void add_projection(const std::string& pattern, int64_t size) {
    add_matrix(pattern + ".weight", {size, config_.hidden_size});
    if (config_.qkv_bias) add(pattern + ".bias", {size});
  }
  void add_mlp(const std::string& gate, const std::string& up, const std::string& down,
               int64_t inner, int64_t expert = 0) {
    add_matrix(gate, {inner, config_.hidden_size}, expert);
    add_matrix(up, {inner, config_.hidden_size}, expert);
    add_matrix(down, {config_.hidden_size, inner}, expert);
  }

  const ModelConfig& config_;
  const WeightNames& names_;
  int64_t layer_;
  std::vector<ExpectedTensor>& plan_;
};

// "3 missing (a, b, c)", with the first few names.
void describe(const char* kind, const std::vector<std::string>& items,
              std::vector<std::string>& parts) {
  constexpr size_t kShown = 4;
  if (items.empty()) return;
  const std::vector<std::string> shown(items.begin(),
                                       items.begin() + std::min(items.size(), kShown));
  const size_t rest = items.size() - shown.size();
  parts.push_back(fmt::format("{} {}: {}{}", items.size(), kind, fmt::join(shown, ", "),
                              rest > 0 ? fmt::format(" and {} more", rest) : ""));
}

// A buffer that old versions of transformers saved though it follows from the config.
bool is_derived(const std::string& name) {
  return name.ends_with("rotary_emb.inv_freq");
}

bool has_dtype(const tensor::SafetensorsEntry& entry, torch::ScalarType expected) {
  if (expected != torch::ScalarType::Undefined) return entry.dtype == expected;
  return entry.dtype == torch::kFloat32 || entry.dtype == torch::kBFloat16 ||
         entry.dtype == torch::kFloat16;
}

std::string expected_dtype(torch::ScalarType expected) {
  if (expected == torch::ScalarType::Undefined) return "a float";
  return std::string(tensor::safetensors_dtype(expected));
}

// AutoGPTQ gives every matrix a bias; where the model has none it is zero.
bool has_needless_bias(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                       const std::string& matrix) {
  if (storage.kind != CheckpointFormat::Kind::kGptq) return false;
  const std::string name = gptq_bias_name(matrix);
  return checkpoint.find(name) != nullptr && !checkpoint.tensor(name).any().item<bool>();
}

}  // namespace

WeightNames choose_names(const ModelConfig& config, std::vector<WeightNames> spellings,
                         const tensor::Checkpoint& checkpoint) {
  for (WeightNames& names : spellings) {
    if (checkpoint.find(weight_name(names.router, config.moe_layers.front())) != nullptr) {
      return std::move(names);
    }
  }
  return std::move(spellings.front());
}

std::vector<ExpectedTensor> plan_weights(const ModelConfig& config, const WeightNames& names,
                                         const tensor::Checkpoint& checkpoint, bool routing_only) {
  std::vector<ExpectedTensor> plan;
  plan.push_back({names.embedding, {config.vocab_size, config.hidden_size}});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    LayerPlan layer_plan(config, names, layer, plan);
    layer_plan.add_attention();
    if (config.is_moe_layer(layer)) {
      layer_plan.add_moe(checkpoint);
    } else {
      layer_plan.add_dense();
    }
  }
  plan.push_back({names.final_norm, {config.hidden_size}});
  plan.push_back({names.lm_head,
                  {config.vocab_size, config.hidden_size},
                  /*required=*/!routing_only && !config.tie_word_embeddings});
  return plan;
}

void verify_weights(const tensor::Checkpoint& checkpoint, const std::vector<ExpectedTensor>& plan,
                    const CheckpointFormat& storage) {
  std::vector<std::string> missing;
  std::vector<std::string> misshaped;
  std::vector<std::string> unexpected;
  std::set<std::string> planned;
  const auto check = [&](const StoredTensor& tensor) {
    planned.insert(tensor.name);
    const tensor::SafetensorsEntry* entry = checkpoint.find(tensor.name);
    if (entry == nullptr) {
      if (tensor.required) missing.push_back(tensor.name);
    } else if (entry->shape != tensor.shape || !has_dtype(*entry, tensor.dtype)) {
      misshaped.push_back(fmt::format("{} is {} [{}], expected {} [{}]", tensor.name,
                                      tensor::safetensors_dtype(entry->dtype),
                                      fmt::join(entry->shape, ", "), expected_dtype(tensor.dtype),
                                      fmt::join(tensor.shape, ", ")));
    }
  };
  for (const ExpectedTensor& tensor : plan) {
    if (!tensor.quantizable) {
      check({.name = tensor.name, .shape = tensor.shape, .required = tensor.required});
      continue;
    }
    for (const StoredTensor& part : stored_parts(checkpoint, storage, tensor.name, tensor.shape)) {
      check(part);
    }
    if (has_needless_bias(checkpoint, storage, tensor.name)) {
      planned.insert(gptq_bias_name(tensor.name));
    }
  }
  for (const std::string& name : checkpoint.names()) {
    if (!planned.contains(name) && !is_derived(name)) unexpected.push_back(name);
  }
  std::vector<std::string> parts;
  describe("missing", missing, parts);
  describe("of the wrong shape or dtype", misshaped, parts);
  describe("unexpected", unexpected, parts);
  if (parts.empty()) return;
  throw DataError(fmt::format(
      "{}: the tensors are not those that config.json describes: {}; check that both belong to the "
      "same model",
      checkpoint.directory().string(), fmt::join(parts, "; ")));
}

}  // namespace foregate::models
