#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "collect/fidelity.h"
#include "model_options.h"

namespace foregate {

/// The options of `foregate inspect MODEL --fidelity`.
struct FidelityArguments {
  collect::FidelityOptions options;
  ComputeArguments compute{.device = "cpu", .dtype = "float32", .quantization = "none"};
  std::vector<std::string> data;
  bool wanted = false;
};

void add_fidelity_options(CLI::App& command, FidelityArguments& arguments);

/// Compares the model's routing with float32 and prints it.
void run_fidelity(const std::filesystem::path& model, FidelityArguments& arguments, bool json,
                  const RunContext& run);

}  // namespace foregate
