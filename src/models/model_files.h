#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "models/config.h"
#include "models/registry.h"
#include "tensor/files/checkpoint.h"

namespace foregate::models {

// A model is a directory in the Hugging Face layout (config.json, tokenizer.json, safetensors
// files), or a GGUF file, which holds all of it.

/// What describes a model: its config.json, or what a GGUF file says as one.
struct ConfigDocument {
  std::shared_ptr<const Json> json;
  std::string where;                              ///< for errors
  std::optional<std::filesystem::path> folder{};  ///< that config.json lies in
  bool single_experts = false;  ///< the weights are opened as: see with_single_experts

  JsonReader reader() const { return {*json, where}; }
};

/// `model`: a directory, a config.json, or a GGUF file (any one of those it is split into). Throws
/// EnvironmentError (missing) or DataError (broken; see gguf_config).
ConfigDocument read_config(const std::filesystem::path& model,
                           const Registry& registry = known_architectures());

/// SHA-256 of config.json, or of a GGUF file's header. Throws EnvironmentError or DataError.
std::string config_digest(const std::filesystem::path& model);

/// The model's weights. Throws the errors of Checkpoint and gguf_checkpoint.
tensor::Checkpoint open_checkpoint(const std::filesystem::path& model, const ModelConfig& config);

/// How the model's matrices are kept, for people.
std::string weights_description(const std::filesystem::path& model, const ModelConfig& config);

}  // namespace foregate::models
