#include "models/weights/weight_plan.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
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
  return expected == torch::ScalarType::Undefined ? is_float(entry.dtype) : entry.dtype == expected;
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

// What scales activations and cached keys and values, which are not quantised here.
bool scales_activations(const std::string& name, const CheckpointFormat& storage) {
  constexpr std::array kEndings = {
      ".input_scale",  ".activation_scale", ".input_zero_point", ".input_global_scale",
      ".output_scale", ".q_scale",          ".k_scale",          ".v_scale"};
  return storage.kind == CheckpointFormat::Kind::kScaled &&
         std::ranges::any_of(kEndings, [&](const char* ending) { return name.ends_with(ending); });
}

// The quant_method of which tensors of these names tell; nullptr: of none.
const char* method_of(const std::vector<std::string>& names) {
  struct Sign {
    const char* part;
    const char* method;
  };
  constexpr std::array kSigns = {Sign{".quant_state.bitsandbytes__", "bitsandbytes"},
                                 Sign{".absmax", "bitsandbytes or foregate"},
                                 Sign{".SCB", "bitsandbytes in 8 bits, which is not supported"},
                                 Sign{".weight_scale_inv", "fp8"},
                                 Sign{".weight_packed", "compressed-tensors"},
                                 Sign{".weight_scale_2", "modelopt"},
                                 Sign{".weight_scale", "compressed-tensors, modelopt or fp8"},
                                 Sign{"_proj_blocks", "mxfp4"},
                                 Sign{".qweight", "gptq or awq"}};
  for (const Sign& sign : kSigns) {
    const auto tells = [&](const std::string& name) {
      return name.find(sign.part) != std::string::npos;
    };
    if (std::ranges::any_of(names, tells)) return sign.method;
  }
  return nullptr;
}

// What may be wrong where tensors are not those that are expected.
std::string advice(const CheckpointFormat& storage, const std::vector<std::string>& unexpected) {
  const char* method = method_of(unexpected);
  if (method == nullptr) return "check that both belong to the same model";
  if (storage.kind == CheckpointFormat::Kind::kDense) {
    return fmt::format(
        "they are quantised, it seems by {}, and config.json has no quantization_config that says "
        "how",
        method);
  }
  const bool agree = std::string_view(method).find(storage.method) != std::string_view::npos;
  if (agree) return fmt::format("check what quantization_config says ({})", storage.description());
  return fmt::format("quant_method is {}, but the tensors' names tell of {}", storage.method,
                     method);
}

// Whether the checkpoint keeps this matrix as floats.
bool is_stored_dense(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                     const ExpectedTensor& tensor) {
  const std::vector<StoredTensor> parts =
      stored_parts(checkpoint, storage, tensor.name, tensor.shape);
  return parts.size() == 1 && parts.front().name == tensor.name &&
         parts.front().dtype == torch::ScalarType::Undefined;
}

// "model.layers.3.mlp.experts.17.up_proj.weight" -> "model.layers.N.mlp.experts.N.up_proj.weight"
std::string without_numbers(const std::string& name) {
  std::string kind;
  for (const char c : name) {
    if (c < '0' || c > '9') {
      kind += c;
    } else if (kind.empty() || kind.back() != 'N') {
      kind += 'N';
    }
  }
  return kind;
}

/// How many matrices of a kind are kept as floats.
struct DenseCount {
  int64_t dense = 0;
  int64_t all = 0;
  std::string first{};
};

// Where config.json does not list what is left as floats, matrices that are so are no errors, but
// worth a word if others of their kind are not.
void tell_of_floats(const tensor::Checkpoint& checkpoint, const std::vector<ExpectedTensor>& plan,
                    const CheckpointFormat& storage, Logger& log) {
  std::map<std::string, DenseCount> kinds;
  int64_t packed = 0;
  for (const ExpectedTensor& tensor : plan) {
    if (!tensor.quantizable) continue;
    DenseCount& count = kinds[without_numbers(tensor.name)];
    const bool dense = is_stored_dense(checkpoint, storage, tensor);
    if (dense && count.dense++ == 0) count.first = tensor.name;
    ++count.all;
    packed += dense ? 0 : 1;
  }
  const std::string where = checkpoint.directory().string();
  if (packed == 0) {
    log.warning("{}: config.json says {}, but every matrix is stored as floats; read as they are",
                where, storage.description());
    return;
  }
  if (storage.left_dense) return;
  for (const auto& [kind, count] : kinds) {
    if (count.dense == 0 || count.dense == count.all) continue;
    log.warning(
        "{}: config.json says {}, but {} of {} tensors {} are stored as floats, {} among them; "
        "read as they are",
        where, storage.description(), count.dense, count.all, kind, count.first);
    return;
  }
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
    const std::string router = weight_name(names.router, config.moe_layers.front());
    if (checkpoint.find(router) != nullptr || has_codes(checkpoint, router)) return names;
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
  std::set<std::string> named;
  const auto check = [&](const StoredTensor& tensor) {
    planned.insert(tensor.name);
    const tensor::TensorEntry* entry = checkpoint.find(tensor.name);
    if (entry == nullptr) {
      const std::string& name = checkpoint.name_in_file(tensor.name);  // may be that of several
      if (tensor.required && named.insert(name).second) missing.push_back(name);
    } else if (entry->shape != tensor.shape || !has_dtype(*entry, tensor.dtype)) {
      misshaped.push_back(
          fmt::format("{} is {} [{}], expected {} [{}]", checkpoint.name_in_file(tensor.name),
                      tensor::safetensors_dtype(entry->dtype), fmt::join(entry->shape, ", "),
                      expected_dtype(tensor.dtype), fmt::join(tensor.shape, ", ")));
    }
  };
  for (const ExpectedTensor& tensor : plan) {
    if (!tensor.required && !is_usable(checkpoint, tensor)) {
      if (checkpoint.find(tensor.name) != nullptr) unneeded.push_back(tensor.name);
      planned.insert(tensor.name);
    } else {
      const CheckpointFormat& kept =
          storage_of(checkpoint, storage, tensor.name, tensor.shape, tensor.quantizable);
      for (const StoredTensor& part : stored_parts(checkpoint, kept, tensor.name, tensor.shape)) {
        check(part);
      }
      if (has_needless_bias(checkpoint, storage, tensor.name)) {
        planned.insert(gptq_bias_name(tensor.name));
      }
    }
  }
  for (const std::string& name : checkpoint.names()) {
    if (planned.contains(name) || is_derived(name) || scales_activations(name, storage)) continue;
    (concerns_decoder(name, config.num_layers, names) ? unexpected : unneeded).push_back(name);
  }
  std::vector<std::string> parts;
  describe("missing", missing, parts);
  describe("of the wrong shape or dtype", misshaped, parts);
  describe("unexpected", unexpected, parts);
  if (!missing.empty()) describe("of other names", unneeded, parts);
  if (parts.empty()) return unneeded;
  throw DataError(fmt::format(
      "{}: the tensors are not those that {} describes: {}; {}", checkpoint.directory().string(),
      fs::is_directory(checkpoint.directory()) ? "config.json" : "its header",
      fmt::join(parts, "; "), advice(storage, unexpected)));
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
  if (storage.kind == CheckpointFormat::Kind::kDense) return settled;
  tell_of_floats(checkpoint, plan, storage, log);
  if (storage.kind != CheckpointFormat::Kind::kGptq) return settled;
  tensor::GptqFormat& format = settled.gptq;
  const auto packed = [&](const ExpectedTensor& tensor) {
    return tensor.quantizable && checkpoint.find(gptq_zeros_name(tensor.name)) != nullptr &&
           gptq_format_of(storage, module_of(tensor.name)) == format;
  };
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
      for (GptqOverride& other : settled.gptq_overrides) {
        if (other.format) other.format->zeros_minus_one = minus_one;
      }
    }
    break;
  }
  return settled;
}

}  // namespace foregate::models
