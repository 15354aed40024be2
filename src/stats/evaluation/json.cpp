#include "stats/evaluation/json.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace foregate::stats {
namespace {

constexpr std::pair<Part::By, const char*> kPartKinds[] = {
    {Part::By::kDataset, "dataset"},
    {Part::By::kLayer, "layer"},
    {Part::By::kPhase, "phase"},
};

/// From too few texts low and high are null.
Json interval_json(const Interval& interval, int64_t texts) {
  if (texts < kTextsForInterval) {
    return {{"mean", interval.mean}, {"low", nullptr}, {"high", nullptr}};
  }
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

/// The inverse; without low and high they equal the mean.
Interval interval_from_json(const JsonReader& reader, double least) {
  Interval interval;
  interval.mean = interval.low = interval.high = reader.number("mean", least, 1);
  if (!reader.at("low").is_null()) interval.low = reader.number("low", least, 1);
  if (!reader.at("high").is_null()) interval.high = reader.number("high", least, 1);
  return interval;
}

Json reliability_json(const std::vector<ReliabilityBin>& bins) {
  Json json = Json::array();
  for (const ReliabilityBin& bin : bins) {
    json.push_back({{"pairs", bin.pairs}, {"stated", bin.stated}, {"chosen", bin.chosen}});
  }
  return json;
}

Json metrics_json(const Slice& slice) {
  Json json = Json::object();
  for (const auto& [key, interval] : slice.metrics) {
    json[metric_name(key)] = interval_json(interval, slice.texts);
  }
  return json;
}

/// The slices but for the whole.
Json slices_json(const EvaluationRow& row) {
  Json json = Json::array();
  for (const auto& [by, name] : kPartKinds) {
    for (const Slice& slice : row.slices) {
      if (slice.part.by != by) continue;
      const bool layer = by == Part::By::kLayer;
      json.push_back({{"by", name},
                      {"part", layer ? std::to_string(slice.part.layer) : slice.part.name},
                      {"decisions", slice.decisions},
                      {"texts", slice.texts},
                      {"metrics", metrics_json(slice)}});
    }
  }
  return json;
}

Json recalls_json(const EvaluationRow& row, Part::By by, int top_k) {
  Json json = Json::object();
  for (const auto& [part, recall] : row.recalls(by, top_k)) json[part.name] = recall;
  return json;
}

Json layer_recalls_json(const EvaluationRow& row, int top_k) {
  Json json = Json::array();
  for (const auto& [part, recall] : row.recalls(Part::By::kLayer, top_k)) {
    json.push_back({{"moe_layer", part.layer}, {"recall", recall}});
  }
  return json;
}

Json row_json(const EvaluationRow& row, int top_k) {
  Json needed = Json::array();
  for (const auto& [share, experts] : row.experts_for_recall) {
    needed.push_back({{"recall", share}, {"experts", experts}});
  }
  Json json = {{"predictor", row.predictor},
               {"lead", row.lead},
               {"decisions", row.whole().decisions},
               {"texts", row.whole().texts},
               {"learned_texts", row.learned_texts},
               {"metrics", metrics_json(row.whole())},
               {"slices", slices_json(row)},
               {"recall_by_dataset", recalls_json(row, Part::By::kDataset, top_k)},
               {"recall_by_layer", layer_recalls_json(row, top_k)},
               {"recall_by_phase", recalls_json(row, Part::By::kPhase, top_k)},
               {"experts_for_recall", needed},
               {"calibration_error", row.calibration_error},
               {"reliability", reliability_json(row.reliability)},
               {"microseconds_per_token", row.microseconds},
               {"flops_per_token", row.flops},
               {"weight_bytes", row.weight_bytes},
               {"on_front", row.on_front}};
  if (!row.baseline.empty()) {
    json["gain"] = interval_json(row.gain, row.whole().texts);
    json["gain"]["over"] = row.baseline;
  }
  if (row.kept_start) json["kept_start"] = true;
  if (row.at_threshold) {
    json["at_threshold"] = {{"probability", row.at_threshold->probability},
                            {"experts", row.at_threshold->experts},
                            {"recall", row.at_threshold->recall}};
  }
  return json;
}

std::map<std::string, double> shares_from_json(const JsonReader& shares) {
  std::map<std::string, double> result;
  for (const auto& [name, value] : shares.json().items()) {
    result[name] = shares.number(name.c_str(), 0, 1);
  }
  return result;
}

MetricTable metrics_from_json(const JsonReader& metrics) {
  MetricTable result;
  for (const auto& [name, value] : metrics.json().items()) {
    const std::optional<MetricKey> key = parse_metric(name);
    if (!key) metrics.fail(name.c_str(), "recall@M, exact-set@M, gate-mass@M or top-1");
    const JsonReader interval(value, metrics.where() + ": " + name);
    result.add(*key, interval_from_json(interval, 0));
  }
  return result;
}

Part part_from_json(const JsonReader& slice) {
  const std::string by = slice.string("by");
  const std::string name = slice.string("part");
  if (by == "dataset") return Part::dataset(name);
  if (by == "phase") return Part::phase(name);
  if (by != "layer") slice.fail("by", "dataset, layer or phase");
  int layer = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, layer);
  if (error != std::errc() || stop != end || layer < 0) slice.fail("part", "a MoE layer's number");
  return Part::moe_layer(layer);
}

Slice recall_slice(Part part, double recall, int top_k) {
  return {std::move(part), 0, 0, {{recall_at(top_k), {recall, recall, recall}}}};
}

/// What evaluations before slices kept of the parts: recall@k.
void read_recalls(const JsonReader& reader, int top_k, EvaluationRow& row) {
  for (const auto& [name, recall] : shares_from_json(reader.object("recall_by_dataset"))) {
    row.slices.push_back(recall_slice(Part::dataset(name), recall, top_k));
  }
  for (const Json& value : reader.array("recall_by_layer")) {
    const JsonReader layer(value, reader.where() + ": recall_by_layer");
    const auto index = static_cast<int>(layer.integer("moe_layer", 0, INT32_MAX));
    row.slices.push_back(recall_slice(Part::moe_layer(index), layer.number("recall", 0, 1), top_k));
  }
  if (!reader.has("recall_by_phase")) return;
  for (const auto& [name, recall] : shares_from_json(reader.object("recall_by_phase"))) {
    row.slices.push_back(recall_slice(Part::phase(name), recall, top_k));
  }
}

void read_parts(const JsonReader& reader, int top_k, EvaluationRow& row) {
  if (!reader.has("slices")) return read_recalls(reader, top_k, row);
  for (const Json& value : reader.array("slices")) {
    const JsonReader slice(value, reader.where() + ": slices");
    row.slices.push_back({part_from_json(slice), slice.integer("decisions", 0, INT64_MAX),
                          slice.integer("texts", 0, INT64_MAX),
                          metrics_from_json(slice.object("metrics"))});
  }
}

/// What evaluations before these fields existed do not have.
void read_additions(const JsonReader& reader, EvaluationRow& row) {
  if (reader.has("experts_for_recall")) {
    for (const Json& value : reader.array("experts_for_recall")) {
      const JsonReader needed(value, reader.where() + ": experts_for_recall");
      row.experts_for_recall.emplace_back(
          needed.number("recall", 0, 1), static_cast<int>(needed.integer("experts", 0, INT32_MAX)));
    }
  }
  row.calibration_error = reader.number("calibration_error", 0, 1, 0);
  if (reader.has("reliability")) {
    for (const Json& value : reader.array("reliability")) {
      const JsonReader bin(value, reader.where() + ": reliability");
      row.reliability.push_back({bin.integer("pairs", 1, INT64_MAX), bin.number("stated", 0, 1),
                                 bin.number("chosen", 0, 1)});
    }
  }
  row.microseconds = reader.number("microseconds_per_token", 0, 1e12, 0);
  row.flops = reader.number("flops_per_token", 0, 1e18, 0);
  row.weight_bytes = reader.integer("weight_bytes", 0, INT64_MAX, 0);
  row.on_front = reader.boolean("on_front", false);
  row.kept_start = reader.boolean("kept_start", false);
  if (reader.has("gain")) {
    const JsonReader gain = reader.object("gain");
    row.baseline = gain.string("over");
    row.gain = interval_from_json(gain, -1);
  }
  if (reader.has("at_threshold")) {
    const JsonReader at = reader.object("at_threshold");
    row.at_threshold = {at.number("probability", 0, 1), at.number("experts", 0, 1e9),
                        at.number("recall", 0, 1)};
  }
}

EvaluationRow row_from_json(const Json& json, const std::string& where, int top_k) {
  const JsonReader reader(json, where);
  EvaluationRow row;
  row.predictor = reader.string("predictor");
  row.lead = reader.string("lead");
  row.whole().decisions = reader.integer("decisions", 0, INT64_MAX);
  row.whole().texts = reader.integer("texts", 0, INT64_MAX);
  row.whole().metrics = metrics_from_json(reader.object("metrics"));
  row.learned_texts = reader.integer("learned_texts", 0, row.whole().texts);
  read_parts(reader, top_k, row);
  read_additions(reader, row);
  return row;
}

Json transfer_json(const TransferRow& row) {
  return {{"predictor", row.predictor},
          {"lead", row.lead},
          {"learned_from", row.learned_from},
          {"recall_by_dataset", row.recall_by_dataset}};
}

TransferRow transfer_from_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  return {reader.string("predictor"), reader.string("lead"), reader.string("learned_from"),
          shares_from_json(reader.object("recall_by_dataset"))};
}

}  // namespace

Json evaluation_json(const Evaluation& evaluation) {
  Json json = {{"trace", evaluation.trace},  {"model", evaluation.model},
               {"split", evaluation.split},  {"num_experts", evaluation.num_experts},
               {"top_k", evaluation.top_k},  {"num_moe_layers", evaluation.num_moe_layers},
               {"device", evaluation.device}};
  json["control"] = nullptr;
  if (evaluation.has_control) {
    json["control"] = {{"decisions", evaluation.control_decisions},
                       {"matches", evaluation.control_matches}};
  }
  json["rows"] = Json::array();
  for (const EvaluationRow& row : evaluation.rows) {
    json["rows"].push_back(row_json(row, evaluation.top_k));
  }
  if (evaluation.transfers.empty()) return json;
  json["transfers"] = Json::array();
  for (const TransferRow& row : evaluation.transfers) {
    json["transfers"].push_back(transfer_json(row));
  }
  return json;
}

Evaluation evaluation_from_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  Evaluation evaluation;
  evaluation.trace = reader.string("trace");
  evaluation.model = reader.string("model");
  evaluation.split = reader.string("split");
  evaluation.num_experts = static_cast<int>(reader.integer("num_experts", 1, INT32_MAX));
  evaluation.top_k = static_cast<int>(reader.integer("top_k", 1, INT32_MAX));
  evaluation.num_moe_layers = static_cast<int>(reader.integer("num_moe_layers", 1, INT32_MAX));
  evaluation.device = reader.string("device", "cpu");
  evaluation.has_control = reader.has("control") && !json["control"].is_null();
  if (evaluation.has_control) {
    const JsonReader control = reader.object("control");
    evaluation.control_decisions = control.integer("decisions", 0, INT64_MAX);
    evaluation.control_matches = control.integer("matches", 0, INT64_MAX);
  }
  for (const Json& row : reader.array("rows"))
    evaluation.rows.push_back(row_from_json(row, where + ": rows", evaluation.top_k));
  if (reader.has("transfers")) {
    for (const Json& row : reader.array("transfers"))
      evaluation.transfers.push_back(transfer_from_json(row, where + ": transfers"));
  }
  return evaluation;
}

}  // namespace foregate::stats
