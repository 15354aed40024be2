#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/run_context.h"
#include "predict/predictor.h"

namespace foregate::predict {

/// All that a training goes on from. Saving and loading it changes no bit.
struct TrainingState {
  int64_t step = 0;  ///< steps done
  NamedTensors parameters;
  NamedTensors first_moments;
  NamedTensors second_moments;
  NamedTensors best;
  double best_recall = -1;
  int64_t best_step = 0;

  /// A fresh start: moments of zero, parameters on the device as leaves of autograd.
  static TrainingState start(const NamedTensors& initial, const torch::Device& device);
};

/// Writes the state atomically. `identity` says what is trained with which settings.
void save_training(const std::filesystem::path& path, const TrainingState& state,
                   const std::string& identity);
/// Fills a started state from the file. Throws UsageError, naming what differs, if the file's
/// identity differs, DataError if it is broken. `log` is told of an older one, whose input cannot
/// be checked.
void load_training(const std::filesystem::path& path, const std::string& identity,
                   TrainingState& state, Logger& log);

}  // namespace foregate::predict
