#pragma once

#include <filesystem>
#include <memory>

#include "offload/prediction/foresight.h"
#include "scoring/predictor_file.h"

namespace foregate::offload {

/// A trained predictor's directory, read once; any number of replays may use it at a time.
class TrainedPredictor {
 public:
  /// Throws what scoring::load_predictor() throws; DataError if it was trained for another geometry
  /// than the trace's or has no calibration, scoring::UnsupportedError if it reads hidden states,
  /// which a trace of routing does not have.
  TrainedPredictor(const std::filesystem::path& directory, const trace::Geometry& geometry);

  const std::filesystem::path& directory() const { return directory_; }
  const std::string& lead() const { return predictor_.lead; }

  /// Guesses of at least this probability, of every layer as early as its lead allows: next-token
  /// at the step's beginning, layer-h when the router h layers before has decided, pre-attention at
  /// the layer's beginning. The predictor must outlive it.
  std::unique_ptr<Foresight> foresight(const ScheduleOptions& schedule,
                                       float least_probability) const;

 private:
  std::filesystem::path directory_;
  scoring::LoadedPredictor predictor_;
};

}  // namespace foregate::offload
