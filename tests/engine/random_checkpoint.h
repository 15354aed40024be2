#pragma once

#include <torch/types.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "models/registry.h"
#include "models/weights/weight_plan.h"
#include "support/temporary_folder.h"
#include "tensor/files/checkpoint.h"
#include "tensor/files/safetensors.h"

namespace foregate::testing {

/// Fills the folder with a checkpoint of this config.json in float32. Weights are random, and large
/// enough that every layer matters. Returns the config.
inline models::ModelConfig write_random_checkpoint(
    const TemporaryFolder& folder, const std::string& config_json, uint64_t seed,
    const models::Registry& architectures = models::known_architectures()) {
  const models::ModelConfig config =
      models::read_model_config(folder.write("config.json", config_json), architectures);
  const std::string weights = folder / "model.safetensors";
  tensor::write_safetensors(weights, {{"none", torch::zeros({1})}});
  torch::manual_seed(seed);
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  for (const models::ExpectedTensor& tensor :
       plan_weights(config, config.spellings.front(), tensor::Checkpoint(folder.path()),
                    /*routing_only=*/false)) {
    torch::Tensor values = torch::randn(tensor.shape);
    if (tensor.shape.size() == 1) {
      const bool is_norm = tensor.name.find("norm") != std::string::npos;
      values = is_norm ? 1 + 0.2 * values : 0.3 * values;
    } else if (tensor.name.find("embed") == std::string::npos) {
      values.div_(std::sqrt(static_cast<double>(tensor.shape.back())));
    }
    tensors.emplace_back(tensor.name, values);
  }
  tensor::write_safetensors(weights, tensors);
  return config;
}

}  // namespace foregate::testing
