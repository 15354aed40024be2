#pragma once

#include <string>
#include <vector>

namespace foregate::models {

/// config.json of a model whose speed is measured without its weights. Throws UsageError, listing
/// what there is, for an unknown name.
std::string benchmark_config(const std::string& name);

std::vector<std::string> benchmark_model_names();

}  // namespace foregate::models
