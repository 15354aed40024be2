#include "models/registry.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "models/gguf/gguf_names.h"
#include "models/model_files.h"

// A line an architecture: the function that its file in architectures/ defines.
// clang-format off
#define FOREGATE_FOR_EACH_ARCHITECTURE(use) \
  use(qwen2_moe)     \
  use(qwen3_moe)     \
  use(mixtral)       \
  use(olmoe)         \
  use(deepseek)      \
  use(deepseek_v2)   \
  use(deepseek_v3)   \
  use(deepseek_v32)  \
  use(kimi_k2)       \
  use(kimi_k25)      \
  use(glm4_moe)      \
  use(glm4_moe_lite) \
  use(glm_moe_dsa)   \
  use(dots1)         \
  use(minimax_m2)    \
  use(ernie4_5_moe)  \
  use(gpt_oss)       \
  use(granitemoe)    \
  use(phimoe)
// clang-format on

namespace foregate::models {

#define FOREGATE_DECLARE(name) Architecture name();
FOREGATE_FOR_EACH_ARCHITECTURE(FOREGATE_DECLARE)
#undef FOREGATE_DECLARE

const Registry& known_architectures() {
#define FOREGATE_MAKE(name) name(),
  static const Registry kRegistry({FOREGATE_FOR_EACH_ARCHITECTURE(FOREGATE_MAKE)});
#undef FOREGATE_MAKE
  return kRegistry;
}

const Architecture& Registry::find(const JsonReader& config) const {
  const std::string model_type = config.string("model_type");
  for (const Architecture& architecture : architectures_) {
    if (architecture.model_type == model_type) return architecture;
  }
  config.fail("model_type",
              fmt::format("one that is supported: {}", fmt::join(model_types(), ", ")));
}

const Architecture& Registry::find(const std::string& model_type) const {
  for (const Architecture& architecture : architectures_) {
    if (architecture.model_type == model_type) return architecture;
  }
  throw std::out_of_range("no architecture " + model_type);
}

std::vector<std::string> Registry::model_types() const {
  std::vector<std::string> types;
  for (const Architecture& architecture : architectures_) types.push_back(architecture.model_type);
  return types;
}

ModelConfig read_model_config(const std::filesystem::path& model, const Registry& registry) {
  const ConfigDocument document = read_config(model, registry);
  const JsonReader reader = document.reader();
  ModelConfig config = parse_config(registry.find(reader), reader);
  if (document.single_experts) {
    for (WeightNames& names : config.spellings) names = with_single_experts(std::move(names));
  }
  if (document.folder && config.storage.kind == CheckpointFormat::Kind::kDense) {
    config.storage = read_modelopt_file(*document.folder).value_or(config.storage);
  }
  return config;
}

}  // namespace foregate::models
