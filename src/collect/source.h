#pragma once

#include <filesystem>
#include <vector>

#include "base/file_digest.h"
#include "base/run_context.h"
#include "collect/options.h"
#include "engine/engine.h"
#include "text/datasets/sampling.h"
#include "text/tokenizer/tokenizer.h"
#include "trace/manifest.h"

namespace foregate::collect {

/// A model ready to route, and the texts it is to route.
struct Source {
  CollectOptions options;  ///< nothing in them is left to be chosen
  models::ModelConfig config;
  text::Tokenizer tokenizer;
  engine::Engine engine;
  text::SamplingPlan plan;
  std::vector<FileDigest> weights{};  ///< of options.model; none of random weights
  double load_seconds = 0;            ///< tokenizer, sizing and weights
  double plan_seconds = 0;            ///< counting and choosing texts
};

/// Chooses what the options leave open by the memory there is, or takes it from the manifest of a
/// run in options.output that is continued; loads the model and samples the texts. Throws
/// UsageError, EnvironmentError, DataError, DeviceError or InterruptedError.
Source open_source(const CollectOptions& options, const RunContext& run);

/// For the manifest, or a predictor: the name that was given, or the model directory's.
std::string model_name_of(const CollectOptions& options);

}  // namespace foregate::collect
