#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "predict/runs/train.h"

namespace foregate::predict {

/// One training of a sweep.
struct SweepRow {
  std::string settings;  ///< "learning_rate=0.004,width=256": what the grid says, and the folder
  TrainSummary summary;
  double seconds = 0;  ///< of this run; next to nothing if it was there already
};

/// Trains a predictor at every point of a grid: a JSON file as for TrainOptions::config, but with
/// lists of values for the settings to vary. Each point's predictor goes to a folder of its own in
/// options.output, named by its settings, with these in config.json. Started again, it keeps what
/// is finished. Rows are sorted by validation recall@k, best first: the test split is not looked
/// at.
///
/// Throws UsageError (an empty list, more than 1,000 points) and what train_predictor() throws.
std::vector<SweepRow> sweep(const TrainOptions& options, const std::filesystem::path& grid,
                            const RunContext& run = silent_run());

/// The rows as text: settings, validation metrics, seconds.
std::string sweep_table(const std::vector<SweepRow>& rows);

}  // namespace foregate::predict
