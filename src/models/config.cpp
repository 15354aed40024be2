#include "models/config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "models/registry.h"

namespace foregate::models {

bool ModelConfig::is_moe_layer(int64_t layer) const {
  return std::binary_search(moe_layers.begin(), moe_layers.end(), layer);
}

ModelConfig read_model_config(const std::filesystem::path& path) {
  const Json json = read_json(path);
  const JsonReader reader(json, path.string());
  return find_architecture(reader).parse_config(reader);
}

}  // namespace foregate::models
