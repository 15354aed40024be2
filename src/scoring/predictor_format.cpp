#include "scoring/predictor_format.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trace/geometry.h"

namespace foregate::scoring {
namespace {

constexpr double kLargestWeight = 1e9;  // of a calibration that is one

Lead read_lead(const JsonReader& reader) {
  try {
    return parse_lead(reader.string("lead"));
  } catch (const UsageError&) {
    reader.fail("lead", "next-token, layer-H or pre-attention");
  }
}

void check_format(const JsonReader& reader) {
  if (reader.string("format", "") != kPredictorFormat) {
    throw DataError(fmt::format("{}: 'format' is not \"{}\"; this is not a foregate predictor",
                                reader.where(), kPredictorFormat));
  }
  const int64_t version = reader.integer("format_version", 1, INT32_MAX);
  if (version > kPredictorFormatVersion) {
    throw DataError(
        fmt::format("{}: format version {}; this foregate reads up to {}: use a newer foregate",
                    reader.where(), version, kPredictorFormatVersion));
  }
}

}  // namespace

PredictorIdentity read_predictor_identity(const JsonReader& reader) {
  check_format(reader);
  return {reader.string("predictor"), read_lead(reader),
          trace::geometry_from_json(reader.object("geometry"))};
}

std::optional<Calibration> read_calibration(const JsonReader& reader) {
  if (!reader.has(kCalibration)) return std::nullopt;
  const JsonReader numbers = reader.object(kCalibration);
  const auto number = [&](const char* key) {
    return numbers.number(key, -kLargestWeight, kLargestWeight);
  };
  return Calibration{number("scale"), number("shared"), number("offset")};
}

}  // namespace foregate::scoring
