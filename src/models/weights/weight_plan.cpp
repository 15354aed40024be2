#include "models/weights/weight_plan.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/number_text.h"
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
                    .quantizable = tensor.weight->keep == Keep::kQuantizable,
                    .arrangement = tensor.part->arrangement});
  }
}

// "a, b, c, d and 3 more"
std::string first_few(const std::vector<std::string>& items) {
  constexpr size_t kShown = 4;
  const std::vector<std::string> shown(items.begin(),
                                       items.begin() + std::min(items.size(), kShown));
  const size_t rest = items.size() - shown.size();
  return fmt::format("{}{}", fmt::join(shown, ", "),
                     rest > 0 ? fmt::format(" and {} more", rest) : "");
}

// "3 missing: a, b, c"
void describe(const char* kind, const std::vector<std::string>& items,
              std::vector<std::string>& parts) {
  if (!items.empty()) {
    parts.push_back(fmt::format("{} {}: {}", items.size(), kind, first_few(items)));
  }
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

// Parts beside the decoder's layers that checkpoints keep under the decoder's own prefix.
constexpr std::array kOtherParts = {"mtp", "visual", "vision", "audio", "speech"};

// Whether an unplanned tensor may change what the described decoder computes.
bool concerns_decoder(const std::string& name, int64_t num_layers, const WeightNames& names) {
  // An adapter that was not merged.
  if (name.starts_with("base_model.") || name.find("lora_") != std::string::npos) return true;
  const std::string layers = names.input_norm.substr(0, names.input_norm.find("{L}"));
  if (name.starts_with(layers)) {
    const std::string number =
        name.substr(layers.size(), name.find('.', layers.size()) - layers.size());
    const bool is_number = !number.empty() && number.size() <= 6 &&
                           number.find_first_not_of("0123456789") == std::string::npos;
    if (is_number && std::ranges::any_of(names.unread, [&](const std::string& pattern) {
          return name.starts_with(weight_name(pattern, std::stoll(number)));
        })) {
      return false;
    }
    // Layers behind the last one predict further tokens (MTP), or were cut off by hand.
    return !is_number || std::stoll(number) < num_layers;
  }
  const std::string decoder = layers.substr(0, layers.find('.') + 1);
  if (!name.starts_with(decoder)) return false;
  return std::ranges::none_of(kOtherParts, [&](const std::string& part) {
    return name.compare(decoder.size(), part.size(), part) == 0;
  });
}

// Whether tensors are parts of quantised matrices of which config.json does not speak.
bool lacks_label(const CheckpointFormat& storage, const std::vector<std::string>& unexpected) {
  constexpr std::array kParts = {".qweight", ".weight_packed", ".SCB", ".weight_scale_inv",
                                 ".absmax"};
  return storage.kind == CheckpointFormat::Kind::kDense &&
         std::ranges::any_of(unexpected, [&](const std::string& name) {
           return std::ranges::any_of(kParts,
                                      [&](const char* part) { return name.ends_with(part); });
         });
}

// AutoGPTQ gives every matrix a bias; where the model has none it is zero.
bool has_needless_bias(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                       const std::string& matrix) {
  if (storage.kind != CheckpointFormat::Kind::kGptq) return false;
  const std::string name = gptq_bias_name(matrix);
  return checkpoint.find(name) != nullptr && !checkpoint.tensor(name).any().item<bool>();
}

}  // namespace

bool is_usable(const tensor::Checkpoint& checkpoint, const ExpectedTensor& tensor) {
  const tensor::TensorEntry* entry = checkpoint.find(tensor.name);
  return entry != nullptr && entry->shape == tensor.shape &&
         has_dtype(*entry, torch::ScalarType::Undefined);
}

WeightNames choose_names(const ModelConfig& config, const tensor::Checkpoint& checkpoint) {
  for (const WeightNames& names : config.spellings) {
    if (checkpoint.find(weight_name(names.router, config.moe_layers.front())) != nullptr) {
      return names;
    }
  }
  return config.spellings.front();
}

ExpertLayout expert_layout(const CheckpointFormat& storage, const WeightNames& names, int64_t layer,
                           const tensor::Checkpoint& checkpoint) {
  const bool as_kept = storage.kind == CheckpointFormat::Kind::kForegate;
  const bool fused = checkpoint.find(weight_name(names.fused_expert_gate_up, layer)) != nullptr;
  // Codes lie along the inputs, so nobody transposes what is packed.
  const bool packed = storage.kind != CheckpointFormat::Kind::kDense && !fused;
  return {.fused = fused || names.expert_gate.empty(),
          .transposed = names.fused_transposed && !as_kept && !packed,
          .interleaved = names.fused_interleaved && !as_kept,
          .bias_interleaved = names.fused_interleaved};
}

std::vector<ExpectedTensor> plan_weights(const ModelConfig& config, const WeightNames& names,
                                         const tensor::Checkpoint& checkpoint, bool routing_only) {
  const OuterWeightSpecs outer = describe_outer_weights(config, names);
  std::vector<ExpectedTensor> plan;
  plan_tensors(plan, {&outer.embedding, 1});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    plan_tensors(plan, describe_layer(config, names, layer,
                                      expert_layout(config.storage, names, layer, checkpoint)));
  }
  plan_tensors(plan, {&outer.final_norm, 1});
  if (outer.final_norm_bias) plan_tensors(plan, {&*outer.final_norm_bias, 1});
  plan_tensors(plan, {&outer.lm_head, 1},
               /*required=*/!routing_only && !config.tie_word_embeddings);
  if (outer.lm_head_bias) {
    plan_tensors(plan, {&*outer.lm_head_bias, 1}, /*required=*/!routing_only);
  }
  return plan;
}

std::vector<std::string> verify_weights(const tensor::Checkpoint& checkpoint,
                                        const std::vector<ExpectedTensor>& plan,
                                        const ModelConfig& config, const WeightNames& names) {
  const CheckpointFormat& storage = config.storage;
  std::vector<std::string> missing;
  std::vector<std::string> misshaped;
  std::vector<std::string> unexpected;
  std::vector<std::string> unneeded;
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
    if (!tensor.required && !is_usable(checkpoint, tensor)) {
      if (checkpoint.find(tensor.name) != nullptr) unneeded.push_back(tensor.name);
      planned.insert(tensor.name);
    } else if (!tensor.quantizable) {
      check({.name = tensor.name, .shape = tensor.shape, .required = tensor.required});
    } else {
      for (const StoredTensor& part :
           stored_parts(checkpoint, storage, tensor.name, tensor.shape)) {
        check(part);
      }
      if (has_needless_bias(checkpoint, storage, tensor.name)) {
        planned.insert(gptq_bias_name(tensor.name));
      }
    }
  }
  for (const std::string& name : checkpoint.names()) {
    if (planned.contains(name) || is_derived(name)) continue;
    (concerns_decoder(name, config.num_layers, names) ? unexpected : unneeded).push_back(name);
  }
  std::vector<std::string> parts;
  describe("missing", missing, parts);
  describe("of the wrong shape or dtype", misshaped, parts);
  describe("unexpected", unexpected, parts);
  if (!missing.empty()) describe("of other names", unneeded, parts);
  if (parts.empty()) return unneeded;
  throw DataError(fmt::format(
      "{}: the tensors are not those that config.json describes: {}; {}",
      checkpoint.directory().string(), fmt::join(parts, "; "),
      lacks_label(storage, unexpected)
          ? "they are quantised, and config.json has no quantization_config that says how"
          : "check that both belong to the same model"));
}

std::string passed_over(const std::vector<std::string>& tensors) {
  return fmt::format("{} that routing does not need {} passed over: {}",
                     number_of(std::ssize(tensors), "tensor"), tensors.size() == 1 ? "is" : "are",
                     first_few(tensors));
}

CheckpointFormat settled_storage(const tensor::Checkpoint& checkpoint,
                                 const std::vector<ExpectedTensor>& plan,
                                 const CheckpointFormat& storage, Logger& log) {
  CheckpointFormat settled = storage;
  tensor::GptqFormat& format = settled.gptq;
  if (storage.kind != CheckpointFormat::Kind::kGptq) return settled;
  const auto packed = [&](const ExpectedTensor& tensor) {
    return tensor.quantizable && checkpoint.find(gptq_zeros_name(tensor.name)) != nullptr;
  };
  if (std::ranges::none_of(plan, packed)) {
    log.warning("{}: config.json says {}, but every matrix is stored as floats; read as they are",
                checkpoint.directory().string(), storage.description());
    return settled;
  }
  if (!format.symmetric.value_or(true)) return settled;  // Zeros may be anything.
  for (const ExpectedTensor& tensor : plan) {
    if (!packed(tensor)) continue;
    const std::string zeros = gptq_zeros_name(tensor.name);
    const auto stored = tensor::uniform_stored_zero(checkpoint.tensor(zeros), format.bits);
    // The middle itself, or one less; anything else is for reading the matrix to judge.
    if (stored != format.middle() && stored != format.middle() - 1) break;
    const bool minus_one = stored == format.middle() - 1;
    if (minus_one != format.zeros_minus_one) {
      log.warning(
          "{}: {} stores every zero as {}, which is {}, whatever checkpoint_format in config.json "
          "says; read as that",
          checkpoint.directory().string(), zeros, *stored,
          minus_one ? "gptq (minus one)" : "gptq_v2 (as it is)");
      format.zeros_minus_one = minus_one;
    }
    break;
  }
  return settled;
}

}  // namespace foregate::models
