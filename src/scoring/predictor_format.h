#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "scoring/lead.h"
#include "trace/trace.h"

namespace foregate::scoring {

// What a predictor directory is made of. This header and its source know nothing of torch: the C
// API reads the same files without it.

inline constexpr const char* kPredictorFormat = "foregate-predictor";
inline constexpr int kPredictorFormatVersion = 1;
inline constexpr const char* kPredictorFile = "predictor.json";
inline constexpr const char* kPredictorWeightsFile = "weights.safetensors";
inline constexpr const char* kWeightsDigest = "weights_sha256";  ///< key of predictor.json
inline constexpr const char* kCalibration = "calibration";       ///< the same

/// The part of predictor.json that says what a predictor is; the rest says where it comes from.
struct PredictorIdentity {
  std::string name;
  Lead lead;
  trace::Geometry geometry;
};

/// Turns scores into probabilities that an expert is among the k:
///   p(e) = sigmoid(scale * score(e) + shared * logsumexp(scores) + offset)
/// Platt's (1999) map with one more weight, for scores that are only known up to a constant a
/// decision, as those of a log-linear mixture. The identity suits scores that are logits already.
struct Calibration {
  double scale = 1;
  double shared = 0;
  double offset = 0;
};

/// Throws DataError naming document and key, also for other formats and newer versions.
PredictorIdentity read_predictor_identity(const JsonReader& reader);

/// Nothing if the directory has none: it was written before calibrations were kept, or without
/// validation texts. Throws DataError naming document and key.
std::optional<Calibration> read_calibration(const JsonReader& reader);

}  // namespace foregate::scoring
