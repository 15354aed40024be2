#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// What sets one architecture apart from the others: how its config.json reads, and what its
/// tensors are called. docs/adding-a-model.md tells how to add one.
struct Architecture {
  const char* model_type;
  ModelConfig (*parse_config)(const JsonReader& reader);
  /// Spellings that checkpoints use, the published one first.
  std::vector<WeightNames> (*weight_names)();
};

/// The architecture that `model_type` in a config.json names. Throws DataError, listing what is
/// supported, if there is none.
const Architecture& find_architecture(const JsonReader& config);
/// Throws std::out_of_range if there is no such architecture.
const Architecture& find_architecture(const std::string& model_type);

std::vector<std::string> supported_model_types();

}  // namespace foregate::models
