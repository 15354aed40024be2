#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/run_context.h"
#include "nn/routers.h"
#include "predict/predictor_store.h"
#include "scoring/lead.h"

namespace foregate::predict {

struct TrainOptions {
  std::filesystem::path traces;
  std::string predictor;
  scoring::Lead lead;
  std::string held_out;    ///< dataset to keep for the test; empty: the usual split
  std::string learn_from;  ///< the only dataset to learn from; empty: all
  std::filesystem::path output;
  std::filesystem::path config;       ///< JSON object of settings; empty: defaults
  std::filesystem::path tensorboard;  ///< folder for TensorBoard's event files; empty: none
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat32;  ///< of the matrix products
  uint64_t seed = 0;
  std::optional<nn::Routers> routers;  ///< the model's own; empty: those recorded with the trace
};

struct TrainSummary {
  PredictorInfo info;
  bool already_done = false;  ///< the same training had been finished before; nothing was changed
  std::filesystem::path output;
};

/// Fits a predictor on the training split, measures and calibrates it on the validation split and
/// writes it to `output`. An interrupted training leaves checkpoint.safetensors there, and the same
/// call goes on from it.
///
/// Throws UsageError (unknown name, lead or setting, an output that holds something else),
/// DataError, EnvironmentError, DeviceError or InterruptedError.
TrainSummary train_predictor(const TrainOptions& options, const RunContext& run = silent_run());

}  // namespace foregate::predict
