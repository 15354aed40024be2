#include "models/weights/weight_plan.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <set>

#include "base/error.h"
#include "models/weights/stored_weight.h"
#include "tensor/dtype.h"

namespace foregate::models {
namespace {

void plan_tensors(std::vector<ExpectedTensor>& plan, std::span<const WeightSpec> specs,
                  bool required = true) {
  for (const PartTensor& tensor : tensors_of(specs)) {
    plan.push_back({.name = tensor.name(),
                    .shape = tensor.shape(),
                    .required = required,
                    .quantizable = tensor.weight->keep == Keep::kQuantizable});
  }
}

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

bool has_dtype(const tensor::TensorEntry& entry, torch::ScalarType expected) {
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

WeightNames choose_names(const ModelConfig& config, const tensor::Checkpoint& checkpoint) {
  for (const WeightNames& names : config.spellings) {
    if (checkpoint.find(weight_name(names.router, config.moe_layers.front())) != nullptr) {
      return names;
    }
  }
  return config.spellings.front();
}

ExpertLayout expert_layout(const WeightNames& names, int64_t layer,
                           const tensor::Checkpoint& checkpoint) {
  const bool fused = checkpoint.find(weight_name(names.fused_expert_gate_up, layer)) != nullptr;
  return fused ? ExpertLayout::kFused : ExpertLayout::kEach;
}

std::vector<ExpectedTensor> plan_weights(const ModelConfig& config, const WeightNames& names,
                                         const tensor::Checkpoint& checkpoint, bool routing_only) {
  const OuterWeightSpecs outer = describe_outer_weights(config, names);
  std::vector<ExpectedTensor> plan;
  plan_tensors(plan, {&outer.embedding, 1});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    plan_tensors(plan,
                 describe_layer(config, names, layer, expert_layout(names, layer, checkpoint)));
  }
  plan_tensors(plan, {&outer.final_norm, 1});
  plan_tensors(plan, {&outer.lm_head, 1},
               /*required=*/!routing_only && !config.tie_word_embeddings);
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
    const tensor::TensorEntry* entry = checkpoint.find(tensor.name);
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
