#include <nlohmann/json.hpp>

#include "predict/predictor_store.h"
#include "trace/geometry.h"

namespace foregate::predict {
namespace {

uint64_t read_unsigned(const JsonReader& reader, const char* key) {
  const Json& value = reader.at(key);
  if (!value.is_number_unsigned()) reader.fail(key, "an integer from 0 to 2^64 - 1");
  return value.get<uint64_t>();
}

}  // namespace

Json PredictorInfo::to_json() const {
  Json json;
  json["format"] = scoring::kPredictorFormat;
  json["format_version"] = scoring::kPredictorFormatVersion;
  json["predictor"] = name;
  json["lead"] = scoring::lead_name(lead);
  json["geometry"] = trace::geometry_to_json(geometry);
  json["model"] = {{"name", model}, {"config_sha256", config_sha256}};
  if (!weights_sha256.empty()) json["model"]["weights_sha256"] = weights_sha256;
  json["trace"] = {{"path", trace},
                   {"manifest_sha256", trace_sha256},
                   {"split_seed", split_seed},
                   {"validation_share", split.validation},
                   {"test_share", split.test}};
  if (!held_out.empty()) json["trace"]["held_out"] = held_out;
  if (!learned_from.empty()) json["trace"]["learned_from"] = learned_from;
  if (token_ids) json["trace"]["token_ids"] = trace::token_ids_name(*token_ids);
  if (!tokenizer_sha256.empty()) json["trace"]["tokenizer_sha256"] = tokenizer_sha256;
  if (live) json["live"] = live->to_json();
  json["seed"] = seed;
  json["dtype"] = dtype;
  json["settings"] = settings_to_json(settings);
  if (best_step) json["best_step"] = *best_step;
  Json metrics = Json::object();
  for (const auto& [metric, value] : validation) metrics[metric] = value;
  json["validation"] = std::move(metrics);
  if (calibration) {
    json[scoring::kCalibration] = {{"scale", calibration->scale},
                                   {"shared", calibration->shared},
                                   {"offset", calibration->offset}};
  }
  return json;
}

PredictorInfo PredictorInfo::from_json(const JsonReader& reader) {
  scoring::PredictorIdentity identity = scoring::read_predictor_identity(reader);
  PredictorInfo info;
  info.name = std::move(identity.name);
  info.lead = identity.lead;
  info.geometry = std::move(identity.geometry);
  const JsonReader model = reader.object("model");
  info.model = model.string("name");
  info.config_sha256 = model.string("config_sha256");
  info.weights_sha256 = model.string("weights_sha256", "");
  const JsonReader trace = reader.object("trace");
  info.trace = trace.string("path");
  info.trace_sha256 = trace.string("manifest_sha256");
  if (trace.has("token_ids")) {
    info.token_ids = trace::token_ids_from_name(trace, "token_ids");
  }
  info.tokenizer_sha256 = trace.string("tokenizer_sha256", "");
  info.split_seed = read_unsigned(trace, "split_seed");
  info.split.validation = trace.number("validation_share", 0, 1);
  info.split.test = trace.number("test_share", 0, 1);
  info.held_out = trace.string("held_out", "");
  info.learned_from = trace.string("learned_from", "");
  if (reader.has("live")) info.live = LiveOrigin::from_json(reader.object("live"));
  info.seed = read_unsigned(reader, "seed");
  info.dtype = reader.string("dtype");
  info.settings = settings_from_json(reader.object("settings"));
  if (reader.has("best_step")) info.best_step = reader.integer("best_step", 0, INT64_MAX);
  const JsonReader metrics = reader.object("validation");
  for (const auto& [metric, value] : metrics.json().items()) {
    info.validation.emplace_back(metric, metrics.number(metric.c_str(), 0, 1));
  }
  info.calibration = scoring::read_calibration(reader);
  return info;
}

}  // namespace foregate::predict
