#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "scoring/scorer.h"
#include "scoring/weight_file.h"

namespace foregate::scoring {

/// A predictor directory, ready to score.
struct LoadedPredictor {
  std::string lead;
  std::string model;                       ///< empty if the directory does not say
  std::optional<Calibration> calibration;  ///< nothing if the directory holds none
  std::unique_ptr<WeightFile> weights;
  std::unique_ptr<Scorer> scorer;  ///< points into the weights
};

/// Throws EnvironmentError if a file is missing or unreadable, DataError if one is broken or the
/// two do not fit, UnsupportedError for a kind that is not known.
LoadedPredictor load_predictor(const std::filesystem::path& directory);

}  // namespace foregate::scoring
