#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/json.h"
#include "predict/live_origin.h"
#include "predict/predictor.h"
#include "predict/settings.h"
#include "scoring/predictor_format.h"
#include "trace/manifest.h"
#include "trace/split/split.h"

namespace foregate::predict {

/// predictor.json: what a predictor is and where it comes from.
struct PredictorInfo {
  std::string name;
  scoring::Lead lead;
  trace::Geometry geometry;
  Settings settings;

  std::string model;               ///< whose routing it predicts
  std::string config_sha256;       ///< of that model's config.json; empty for imported traces
  std::string weights_sha256;      ///< of its checkpoint (digest_of); empty if not known
  std::string trace;               ///< directory it was fitted on, as it was named then
  std::string trace_sha256;        ///< of that directory's manifest
  std::optional<LiveOrigin> live;  ///< if there was no trace
  /// What the ids of its tokens are; nothing in directories from before it was written.
  std::optional<trace::TokenIds> token_ids;
  std::string tokenizer_sha256;  ///< whose ids they are; empty if not known
  uint64_t split_seed = 0;       ///< the manifest's seed, which fixes the split
  trace::SplitOptions split;
  std::string held_out;      ///< the dataset it was not to see, all of which is test; empty: none
  std::string learned_from;  ///< the only dataset it learned from; empty: all of them
  uint64_t seed = 0;
  std::optional<int64_t> best_step;  ///< Predictor::best_step() of the training
  std::string dtype = "float32";     ///< the products of its training were computed in
  std::vector<std::pair<std::string, double>> validation;  ///< metric on the validation split
  std::optional<scoring::Calibration>
      calibration;  ///< fitted on validation texts, if there were any

  Json to_json() const;
  /// Throws DataError naming document and key.
  static PredictorInfo from_json(const JsonReader& reader);
};

struct StoredPredictor {
  PredictorInfo info;
  std::unique_ptr<Predictor> predictor;
  std::unordered_set<uint64_t>
      seen_texts;  ///< RoutedText::hash of every text that was learned from
};

/// Writes predictor.json and weights.safetensors; predictor.json comes last and names the weights'
/// digest, so that a directory is whole or not a predictor.
void save_predictor(const std::filesystem::path& directory, const Predictor& predictor,
                    const PredictorInfo& info, const std::vector<uint64_t>& seen_texts);

bool is_predictor_directory(const std::filesystem::path& directory);
/// Throws EnvironmentError if it is no predictor directory, DataError if it is broken.
PredictorInfo read_predictor_info(const std::filesystem::path& directory);
StoredPredictor load_predictor(const std::filesystem::path& directory);

/// For `foregate inspect`: predictor.json and the list of tensors with their shapes.
Json describe_predictor(const std::filesystem::path& directory);

}  // namespace foregate::predict
