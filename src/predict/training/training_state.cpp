#include "predict/training/training_state.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/file_digest.h"
#include "predict/training/identity.h"
#include "tensor/files/safetensors.h"

namespace foregate::predict {
namespace {

constexpr const char* kIdentity = "identity";
constexpr const char* kStepName = "step";
constexpr const char* kBestRecall = "best_recall";
constexpr const char* kBestStep = "best_step";

/// The groups of tensors a checkpoint holds, under the prefix of their names in the file.
std::vector<std::pair<std::string, NamedTensors*>> groups_of(TrainingState& state) {
  return {{"parameter.", &state.parameters},
          {"first_moment.", &state.first_moments},
          {"second_moment.", &state.second_moments},
          {"best.", &state.best}};
}

std::string metadata(const tensor::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found != file.metadata().end()) return found->second;
  throw DataError(fmt::format("{}: metadata \"{}\" is missing; delete the file to train anew",
                              file.path().string(), key));
}

}  // namespace

TrainingState TrainingState::start(const NamedTensors& initial, const torch::Device& device) {
  TrainingState state;
  for (const auto& [name, tensor] : initial) {
    const torch::Tensor parameter =
        tensor.detach().to(device, torch::kFloat32, false, /*copy=*/true);
    state.parameters[name] = parameter.requires_grad_();
    state.first_moments[name] = torch::zeros_like(parameter).detach();
    state.second_moments[name] = torch::zeros_like(parameter).detach();
    state.best[name] = parameter.detach().clone();
  }
  return state;
}

void save_training(const std::filesystem::path& path, const TrainingState& state,
                   const std::string& identity) {
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  TrainingState view = state;
  for (const auto& [prefix, group] : groups_of(view)) {
    for (const auto& [name, tensor] : *group) tensors.emplace_back(prefix + name, tensor.detach());
  }
  tensor::write_safetensors(path, tensors,
                            {{kIdentity, identity},
                             {kStepName, std::to_string(state.step)},
                             {kBestRecall, fmt::format("{}", state.best_recall)},
                             {kBestStep, std::to_string(state.best_step)}});
}

void load_training(const std::filesystem::path& path, const std::string& identity,
                   TrainingState& state, Logger& log) {
  const tensor::SafetensorsFile file(path);
  const std::string found = metadata(file, kIdentity);
  const IdentityDifference difference = identity_difference(found, identity);
  if (difference.unknown) log.warning("{}", unchecked_input(path.string()));
  if (!difference.words.empty()) {
    throw UsageError(
        fmt::format("{} belongs to a training with other settings ({}); repeat those to go on with "
                    "it, or delete "
                    "it, or choose another --output",
                    path.string(), difference.words));
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [prefix, group] : groups_of(state)) {
    for (auto& [name, tensor] : *group) {
      const torch::Tensor saved = file.tensor(prefix + name);
      tensor.copy_(
          take_weight({{name, saved}}, name, tensor.sizes(), torch::kFloat32, path.string()));
    }
  }
  state.step = std::atoll(metadata(file, kStepName).c_str());
  state.best_recall = std::strtod(metadata(file, kBestRecall).c_str(), nullptr);
  state.best_step = std::atoll(metadata(file, kBestStep).c_str());
}

}  // namespace foregate::predict
