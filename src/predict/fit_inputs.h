#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/run_context.h"

namespace foregate::predict {

class RoutedTexts;   // predict/texts/routed_texts.h
class SharedCounts;  // predict/counting/routing_counts.h
class TextStream;    // predict/texts/text_stream.h

/// Where gradient training computes and keeps its state. Counting predictors only use the seed.
struct TrainingEnvironment {
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat32;  ///< of the matrix products; parameters stay float32
  uint64_t seed = 0;
  std::filesystem::path checkpoint;   ///< where an unfinished training is kept; empty: nowhere
  std::filesystem::path tensorboard;  ///< folder for event files; empty: none
  std::string identity;               ///< of the data; a checkpoint of other data is refused
};

/// What a predictor learns from: the texts of the training split and, to choose settings or weights
/// of a mixture, those of the validation split. Never the test split.
struct FitInputs {
  const RoutedTexts& corpus;
  SharedCounts& counts;  ///< of the training split, counted at first use for all predictors
  TrainingEnvironment environment;
  /// Where training by gradient draws its texts from instead of `corpus`, if there is one. It may
  /// be shared by trainings that take steps by turns.
  TextStream* stream = nullptr;
  RunContext run = silent_run();
};

}  // namespace foregate::predict
