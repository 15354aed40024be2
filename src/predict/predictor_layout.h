#pragma once

#include <string>

#include "base/json.h"
#include "predict/lead.h"
#include "trace/trace.h"

namespace foregate {

// What a predictor directory is made of. This header and its source know nothing of torch: the C
// API reads the same files without it.

inline constexpr const char* kPredictorFormat = "foregate-predictor";
inline constexpr int kPredictorFormatVersion = 1;
inline constexpr const char* kPredictorFile = "predictor.json";
inline constexpr const char* kPredictorWeightsFile = "weights.safetensors";
inline constexpr const char* kWeightsDigest = "weights_sha256";  ///< key of predictor.json

/// The part of predictor.json that says what a predictor is; the rest says where it comes from.
struct PredictorIdentity {
  std::string name;
  Lead lead;
  Geometry geometry;
};

/// Throws DataError naming document and key, also for other formats and newer versions.
PredictorIdentity read_predictor_identity(const JsonReader& reader);

}  // namespace foregate
