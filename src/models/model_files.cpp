#include "models/model_files.h"

#include <nlohmann/json.hpp>

#include "base/containers/gguf_header.h"
#include "base/files.h"
#include "base/hash.h"
#include "models/gguf/gguf_checkpoint.h"
#include "models/gguf/gguf_config.h"
#include "tensor/files/gguf_split.h"

namespace foregate::models {
namespace {

fs::path config_file(const fs::path& model) {
  return fs::is_directory(model) ? model / "config.json" : model;
}

}  // namespace

ConfigDocument read_config(const fs::path& model, const Registry& registry) {
  if (is_gguf_file(model)) {
    return {std::make_shared<Json>(gguf_config(GgufModel(model), registry)),
            model.string() + " (its keys as config.json has them)", std::nullopt,
            /*single_experts=*/true};
  }
  const fs::path path = config_file(model);
  return {std::make_shared<Json>(read_json(path)), path.string(), path.parent_path()};
}

std::string config_digest(const fs::path& model) {
  return is_gguf_file(model) ? sha256_of_gguf_header(tensor::first_gguf_file(model))
                             : sha256_of_file(config_file(model));
}

tensor::Checkpoint open_checkpoint(const fs::path& model, const ModelConfig& config) {
  if (is_gguf_file(model)) return gguf_checkpoint(GgufModel(model), config);
  return tensor::Checkpoint(model);
}

std::string weights_description(const fs::path& model, const ModelConfig& config) {
  return is_gguf_file(model) ? GgufModel(model).description() : config.storage.description();
}

}  // namespace foregate::models
