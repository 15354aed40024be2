#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/run_context.h"
#include "predict/predictor.h"
#include "predict/predictor_store.h"
#include "predict/texts/routed_texts.h"

namespace foregate::predict {

inline constexpr const char* kCheckpointFile = "checkpoint.safetensors";

/// A predictor with the settings of a JSON file, or the defaults if `config` is empty. Throws
/// UsageError, DataError or EnvironmentError.
std::unique_ptr<Predictor> make_configured(const std::string& name, const scoring::Lead& lead,
                                           const trace::Geometry& geometry,
                                           const std::filesystem::path& config);

/// What must be equal for a finished predictor, or a checkpoint, to be the one asked for.
std::string identity_of(PredictorInfo info);

/// Whether the output already holds this very predictor. Throws UsageError, naming what differs, if
/// it holds another one. `log` is told if it is an older one, whose input cannot be checked.
bool is_done(const std::filesystem::path& output, const PredictorInfo& wanted, Logger& log);

using ValidationMetrics = std::vector<std::pair<std::string, double>>;
/// Every metric of each predictor on the validation split, in one pass over it.
std::vector<ValidationMetrics> measure_on_validation(
    const std::vector<const Predictor*>& predictors, const RoutedTexts& texts);

}  // namespace foregate::predict
