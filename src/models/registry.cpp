#include "models/registry.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <array>
#include <stdexcept>

#include "models/architectures/deepseek.h"
#include "models/architectures/mixtral.h"
#include "models/architectures/olmoe.h"
#include "models/architectures/qwen2_moe.h"
#include "models/architectures/qwen3_moe.h"

namespace foregate::models {
namespace {

constexpr std::array kArchitectures = {
    Architecture{"qwen2_moe", parse_qwen2_moe, qwen2_moe_weight_names},
    Architecture{"qwen3_moe", parse_qwen3_moe, qwen3_moe_weight_names},
    Architecture{"mixtral", parse_mixtral, mixtral_weight_names},
    Architecture{"deepseek", parse_deepseek, deepseek_weight_names},
    Architecture{"olmoe", parse_olmoe, olmoe_weight_names},
};

const Architecture* find_or_null(const std::string& model_type) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type == model_type) return &architecture;
  }
  return nullptr;
}

}  // namespace

const Architecture& find_architecture(const JsonReader& config) {
  const Architecture* architecture = find_or_null(config.string("model_type"));
  if (architecture == nullptr) {
    config.fail("model_type",
                fmt::format("one that is supported: {}", fmt::join(supported_model_types(), ", ")));
  }
  return *architecture;
}

const Architecture& find_architecture(const std::string& model_type) {
  const Architecture* architecture = find_or_null(model_type);
  if (architecture == nullptr) throw std::out_of_range("no architecture " + model_type);
  return *architecture;
}

std::vector<std::string> supported_model_types() {
  std::vector<std::string> types;
  for (const Architecture& architecture : kArchitectures)
    types.emplace_back(architecture.model_type);
  return types;
}

}  // namespace foregate::models
