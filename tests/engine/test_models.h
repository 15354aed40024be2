#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace foregate::testing {

inline std::filesystem::path goldens() {
  return std::filesystem::path(FOREGATE_SOURCE_DIR) / "tests/models/goldens";
}

/// Where a golden's model lies: beside it, in examples/, or in the folder of shared models that
/// FOREGATE_SHARED names (../shared if unset). Empty if it is nowhere.
inline std::filesystem::path model_directory(const std::string& name) {
  const std::filesystem::path source(FOREGATE_SOURCE_DIR);
  const char* variable = std::getenv("FOREGATE_SHARED");
  const std::filesystem::path shared = variable != nullptr ? variable : source / "../shared";
  for (const auto& candidate : {goldens() / name, shared / "models" / name}) {
    if (std::filesystem::exists(candidate / "config.json")) return candidate;
  }
  const auto example = source / "examples/demo/model";
  const bool is_example =
      name == "seed-geometry" && std::filesystem::exists(example / "config.json");
  return is_example ? example : std::filesystem::path();
}

}  // namespace foregate::testing
