#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "collect/options.h"
#include "predict/runs/train.h"

namespace foregate::live {

inline constexpr int64_t kDefaultBufferTokens = 32'768;

struct TrainLiveOptions {
  /// The model and its texts: `traces` is their number, `compute` is the model's (the training runs
  /// on its device too), `seed` chooses and splits the texts.
  collect::CollectOptions texts;
  std::vector<std::string> predictors;
  std::vector<scoring::Lead> leads;  ///< every predictor is trained at each of these that it has
  std::string held_out;
  /// The predictor's directory; with several of them, of directories PREDICTOR-LEAD.
  std::filesystem::path output;
  std::filesystem::path config;       ///< of all predictors; empty: each one's defaults
  std::filesystem::path tensorboard;  ///< with several predictors, of folders PREDICTOR-LEAD
  torch::ScalarType dtype = torch::kFloat32;     ///< of the matrix products of the training
  uint64_t seed = 0;                             ///< of initial weights and batches
  int64_t buffer_tokens = kDefaultBufferTokens;  ///< whose hidden states are in memory at a time
  int64_t passes = 0;  ///< over the training texts; 0: a token is drawn four times a pass or so
};

/// Trains predictors straight from a running model: what the recorded features would hold goes
/// from the model into batches and is forgotten. Splits, seeds, early stopping and results are as
/// train_predictor()'s on a trace of the same options, but for the order in which tokens are
/// drawn. All predictors learn from the same passes of the model. An interrupted training leaves a
/// checkpoint in each directory, and the same call goes on from there with the bits of an
/// uninterrupted one.
///
/// Throws UsageError, DataError, EnvironmentError, DeviceError or InterruptedError.
std::vector<predict::TrainSummary> train_live(const TrainLiveOptions& options,
                                              const RunContext& run = silent_run());

}  // namespace foregate::live
