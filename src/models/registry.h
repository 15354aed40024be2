#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/architecture.h"
#include "models/config.h"

namespace foregate::models {

/// The architectures that a program knows.
class Registry {
 public:
  explicit Registry(std::vector<Architecture> architectures)
      : architectures_(std::move(architectures)) {}

  /// The one that `model_type` in a config.json names. Throws DataError, listing what is supported,
  /// if there is none.
  const Architecture& find(const JsonReader& config) const;
  /// Throws std::out_of_range if there is no such architecture.
  const Architecture& find(const std::string& model_type) const;
  std::vector<std::string> model_types() const;

 private:
  std::vector<Architecture> architectures_;
};

/// All that are implemented.
const Registry& known_architectures();

/// Reads and checks what describes a model of any architecture in the registry: see read_config().
/// Throws EnvironmentError (missing) or DataError: a key is missing, or its value is outside what
/// is implemented.
ModelConfig read_model_config(const std::filesystem::path& model,
                              const Registry& registry = known_architectures());

}  // namespace foregate::models
