#include "models/weights/quantized_checkpoint.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "models/config.h"
#include "models/model_files.h"
#include "models/registry.h"
#include "models/weights/stored_weight.h"
#include "models/weights/weight_digests.h"
#include "models/weights/weight_plan.h"
#include "tensor/files/safetensors.h"

namespace foregate::models {
namespace {

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kSourceDigest = "source_config_sha256";
constexpr const char* kSourceWeights = "source_weights";

// What is copied beside the weights, as far as it is there.
constexpr std::array kCompanions = {"tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "tokenizer.model",
                                    "chat_template.jinja",
                                    "generation_config.json"};

/// Streams the tensors of one checkpoint into a new file.
class Converter {
 public:
  Converter(const fs::path& model, const ModelConfig& config, tensor::Quantization quantization,
            Logger& log)
      : checkpoint_(open_checkpoint(model, config)), quantization_(quantization) {
    const WeightNames names = choose_names(config, checkpoint_);
    plan_ = plan_weights(config, names, checkpoint_, /*routing_only=*/true);
    const std::vector<std::string> unneeded = verify_weights(checkpoint_, plan_, config, names);
    if (!unneeded.empty()) log.warning("{}: {}", model.string(), passed_over(unneeded));
    storage_ = settled_storage(checkpoint_, plan_, config.storage, log);
    // lm_head need not be there: routing does without.
    std::erase_if(plan_, [&](const ExpectedTensor& tensor) {
      return !tensor.required && !is_usable(checkpoint_, tensor);
    });
  }

  void write(const fs::path& path, const StopToken& stop) const {
    tensor::SafetensorsWriter writer(path, entries(), {{"format", "pt"}});
    for (const ExpectedTensor& tensor : plan_) {
      stop.check("nothing was saved");
      if (tensor.quantizable) {
        convert(tensor, writer);
      } else {
        copy(tensor, writer);
      }
    }
    writer.commit();
  }

 private:
  // Transposing twice changes nothing.
  static std::vector<int64_t> kept_shape(const ExpectedTensor& tensor) {
    return stored_shape(tensor.shape, tensor.arrangement);
  }

  std::vector<tensor::TensorEntry> entries() const {
    const CheckpointFormat ours{.kind = CheckpointFormat::Kind::kForegate,
                                .quantization = quantization_};
    std::vector<tensor::TensorEntry> entries;
    for (const ExpectedTensor& tensor : plan_) {
      if (!tensor.quantizable) {
        const bool packed = has_codes(checkpoint_, tensor.name);
        entries.push_back({.name = tensor.name,
                           .dtype = packed ? torch::kFloat32 : checkpoint_.find(tensor.name)->dtype,
                           .shape = tensor.shape});
        continue;
      }
      for (const StoredTensor& part :
           stored_parts(checkpoint_, ours, tensor.name, kept_shape(tensor))) {
        entries.push_back({.name = part.name, .dtype = part.dtype, .shape = part.shape});
      }
    }
    return entries;
  }

  void convert(const ExpectedTensor& tensor, tensor::SafetensorsWriter& writer) const {
    const std::string what = checkpoint_.directory().string() + ": " + tensor.name;
    read_stored(
        checkpoint_, storage_, tensor.name, tensor.shape,
        [&](int64_t first, const tensor::Weight& stored) {
          const tensor::Weight rows = rearranged(stored, tensor.arrangement);
          tensor::Weight quantized =
              tensor::Weight::empty(rows.sizes(), quantization_, torch::kCPU, torch::kFloat32);
          quantized.assign(rows, what);
          writer.write_rows(tensor.name, first, quantized.codes());
          writer.write_rows(scales_name(tensor.name, quantization_), first, quantized.scales());
        });
  }

  void copy(const ExpectedTensor& tensor, tensor::SafetensorsWriter& writer) const {
    const CheckpointFormat& storage =
        storage_of(checkpoint_, storage_, tensor.name, tensor.shape, /*quantizable=*/false);
    read_stored(checkpoint_, storage, tensor.name, tensor.shape,
                [&](int64_t first, const tensor::Weight& rows) {
                  writer.write_rows(tensor.name, first, rows.dense());
                });
  }

  tensor::Checkpoint checkpoint_;
  CheckpointFormat storage_;
  tensor::Quantization quantization_;
  std::vector<ExpectedTensor> plan_;
};

}  // namespace

void save_quantized(const fs::path& model, tensor::Quantization quantization,
                    const fs::path& output, const RunContext& run) {
  if (!fs::is_directory(model)) {
    throw UsageError(fmt::format(
        "{} is no folder of a model in the Hugging Face layout; only such a model can be "
        "saved quantised",
        model.string()));
  }
  const fs::path config_path = model / "config.json";
  Json config = read_json(config_path);
  const ModelConfig source = read_model_config(config_path);
  const Converter converter(model, source, quantization, run.log);
  AtomicFolder folder(output);
  converter.write(folder.temporary_path() / kWeightsFile, run.stop);
  config["quantization_config"] = quantization_config(quantization);
  config["quantization_config"][kSourceDigest] = sha256_of_file(config_path);
  config["quantization_config"][kSourceWeights] = to_json(weight_digests(model, source));
  write_json_atomically(folder.temporary_path() / "config.json", config);
  for (const char* name : kCompanions) {
    if (fs::exists(model / name)) {
      write_file_atomically(folder.temporary_path() / name, read_file(model / name));
    }
  }
  folder.commit();
}

bool is_saved_quantized(const fs::path& folder, const fs::path& model,
                        tensor::Quantization quantization, Logger& log) {
  if (!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder))) return false;
  const fs::path path = folder / "config.json";
  const auto fail = [&](const std::string& found) {
    throw UsageError(fmt::format(
        "{} holds {}; expected {} quantised to {}: choose another --save-quantized, or remove it",
        folder.string(), found, model.string(), tensor::quantization_name(quantization)));
  };
  if (!fs::exists(path)) fail("something else than a model");
  const Json json = read_json(path);
  const CheckpointFormat storage = read_weight_storage(JsonReader(json, path.string()));
  if (storage.kind != CheckpointFormat::Kind::kForegate)
    fail("a model that foregate did not quantise");
  if (storage.quantization != quantization) {
    fail("a model quantised to " + tensor::quantization_name(storage.quantization));
  }
  const JsonReader reader(json.at("quantization_config"), path.string());
  if (reader.string(kSourceDigest, "") != sha256_of_file(model / "config.json")) {
    fail("another model");
  }
  if (!reader.has(kSourceWeights)) {
    log.warning(
        "{} was made by an older foregate, which kept no digest of the weights: whether it is made "
        "of those in {} cannot be checked",
        folder.string(), model.string());
    return true;
  }
  const std::string changed =
      changed_file(file_digests(reader, kSourceWeights),
                   weight_digests(model, read_model_config(model / "config.json")));
  if (!changed.empty()) fail(fmt::format("other weights of the same model ({})", changed));
  return true;
}

}  // namespace foregate::models
