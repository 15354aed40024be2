#include "stats/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/number_text.h"

namespace foregate::stats {
namespace {

Json interval_json(const Interval& interval) {
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

Json reliability_json(const std::vector<ReliabilityBin>& bins) {
  Json json = Json::array();
  for (const ReliabilityBin& bin : bins) {
    json.push_back({{"pairs", bin.pairs}, {"stated", bin.stated}, {"chosen", bin.chosen}});
  }
  return json;
}

Json metrics_json(const Metrics& metrics) {
  Json json = Json::object();
  for (const auto& [name, interval] : metrics) json[name] = interval_json(interval);
  return json;
}

Json row_json(const EvaluationRow& row) {
  Json slices = Json::array();
  for (const EvaluationSlice& slice : row.slices) {
    slices.push_back({{"by", slice.by},
                      {"part", slice.part},
                      {"decisions", slice.decisions},
                      {"texts", slice.texts},
                      {"metrics", metrics_json(slice.metrics)}});
  }
  Json layers = Json::array();
  for (const auto& [layer, recall] : row.recall_by_layer) {
    layers.push_back({{"moe_layer", layer}, {"recall", recall}});
  }
  Json needed = Json::array();
  for (const auto& [share, experts] : row.experts_for_recall) {
    needed.push_back({{"recall", share}, {"experts", experts}});
  }
  Json json = {{"predictor", row.predictor},
               {"lead", row.lead},
               {"decisions", row.decisions},
               {"texts", row.texts},
               {"learned_texts", row.learned_texts},
               {"metrics", metrics_json(row.metrics)},
               {"slices", slices},
               {"recall_by_dataset", row.recall_by_dataset},
               {"recall_by_layer", layers},
               {"recall_by_phase", row.recall_by_phase},
               {"experts_for_recall", needed},
               {"calibration_error", row.calibration_error},
               {"reliability", reliability_json(row.reliability)},
               {"microseconds_per_token", row.microseconds},
               {"flops_per_token", row.flops},
               {"weight_bytes", row.weight_bytes},
               {"on_front", row.on_front}};
  if (!row.baseline.empty()) {
    json["gain"] = interval_json(row.gain);
    json["gain"]["over"] = row.baseline;
  }
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

Metrics metrics_from_json(const JsonReader& metrics) {
  Metrics result;
  for (const auto& [name, value] : metrics.json().items()) {
    const JsonReader interval(value, metrics.where() + ": " + name);
    result.emplace_back(name, Interval{interval.number("mean", 0, 1), interval.number("low", 0, 1),
                                       interval.number("high", 0, 1)});
  }
  return result;
}

/// What evaluations before these fields existed do not have.
void read_additions(const JsonReader& reader, EvaluationRow& row) {
  if (reader.has("slices")) {
    for (const Json& value : reader.array("slices")) {
      const JsonReader slice(value, reader.where() + ": slices");
      row.slices.push_back(
          {slice.string("by"), slice.string("part"), slice.integer("decisions", 0, INT64_MAX),
           slice.integer("texts", 0, INT64_MAX), metrics_from_json(slice.object("metrics"))});
    }
  }
  if (reader.has("recall_by_phase")) {
    row.recall_by_phase = shares_from_json(reader.object("recall_by_phase"));
  }
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
  if (reader.has("gain")) {
    const JsonReader gain = reader.object("gain");
    row.baseline = gain.string("over");
    row.gain = {gain.number("mean", -1, 1), gain.number("low", -1, 1), gain.number("high", -1, 1)};
  }
  if (reader.has("at_threshold")) {
    const JsonReader at = reader.object("at_threshold");
    row.at_threshold = {at.number("probability", 0, 1), at.number("experts", 0, 1e9),
                        at.number("recall", 0, 1)};
  }
}

EvaluationRow row_from_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  EvaluationRow row;
  row.predictor = reader.string("predictor");
  row.lead = reader.string("lead");
  row.decisions = reader.integer("decisions", 0, INT64_MAX);
  row.texts = reader.integer("texts", 0, INT64_MAX);
  row.learned_texts = reader.integer("learned_texts", 0, row.texts);
  row.metrics = metrics_from_json(reader.object("metrics"));
  row.recall_by_dataset = shares_from_json(reader.object("recall_by_dataset"));
  for (const Json& value : reader.array("recall_by_layer")) {
    const JsonReader layer(value, where + ": recall_by_layer");
    row.recall_by_layer.emplace_back(static_cast<int>(layer.integer("moe_layer", 0, INT32_MAX)),
                                     layer.number("recall", 0, 1));
  }
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

std::string percent(const Interval& interval) {
  return fmt::format("{:5.1f} [{:.1f}, {:.1f}]", 100 * interval.mean, 100 * interval.low,
                     100 * interval.high);
}

using Cells = std::vector<std::vector<std::string>>;

/// Lines of cells, padded to the widest of each column.
std::string aligned(const Cells& cells) {
  std::vector<size_t> widths(cells[0].size());
  for (const auto& line : cells) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : cells) {
    text += "  ";
    for (size_t i = 0; i < line.size(); ++i) {
      text += i == 0 ? fmt::format("{:<{}}", line[i], widths[i])
                     : fmt::format("  {:>{}}", line[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

std::string table_of(const std::vector<const EvaluationRow*>& rows) {
  Cells cells = {{"predictor"}};
  for (const auto& [name, interval] : rows.front()->metrics) cells[0].push_back(name);
  for (const EvaluationRow* row : rows) {
    cells.push_back({row->title()});
    for (const auto& [name, interval] : row->metrics) cells.back().push_back(percent(interval));
  }
  return aligned(cells);
}

/// What it takes to rely on each predictor: its gain, the experts to fetch, its honesty, its cost.
std::string use_table_of(const std::vector<const EvaluationRow*>& rows) {
  Cells cells = {{"predictor", "gain in recall"}};
  for (const auto& [share, experts] : rows.front()->experts_for_recall) {
    cells[0].push_back(fmt::format("experts for {:.0f}%", 100 * share));
  }
  if (rows.front()->at_threshold) {
    cells[0].push_back(fmt::format("fetched at p >= {}", rows.front()->at_threshold->probability));
  }
  for (const char* name : {"calibration error", "us/token", "kFLOP/token", "MB", "on front"})
    cells[0].emplace_back(name);
  for (const EvaluationRow* row : rows) {
    auto& line = cells.emplace_back();
    line.push_back(row->title());
    line.push_back(row->baseline.empty()
                       ? "baseline"
                       : fmt::format("{:+.1f} [{:+.1f}, {:+.1f}]", 100 * row->gain.mean,
                                     100 * row->gain.low, 100 * row->gain.high));
    for (const auto& [share, experts] : row->experts_for_recall) {
      line.push_back(std::to_string(experts));
    }
    if (row->at_threshold) {
      line.push_back(fmt::format("{:.2f}, recall {:.1f}", row->at_threshold->experts,
                                 100 * row->at_threshold->recall));
    }
    line.push_back(fmt::format("{:.2f}", 100 * row->calibration_error));
    line.push_back(fmt::format("{:.1f}", row->microseconds));
    line.push_back(fmt::format("{:.1f}", row->flops / 1e3));
    line.push_back(fmt::format("{:.1f}", static_cast<double>(row->weight_bytes) / 1e6));
    line.emplace_back(row->on_front ? "*" : "");
  }
  return aligned(cells);
}

/// One predictor's matrix: what it learned from down, what it was measured on across.
std::string transfer_table_of(const std::vector<const TransferRow*>& rows) {
  std::set<std::string> datasets;
  for (const TransferRow* row : rows) {
    for (const auto& [dataset, recall] : row->recall_by_dataset) datasets.insert(dataset);
  }
  Cells cells = {{"learned from \\ measured on"}};
  cells[0].insert(cells[0].end(), datasets.begin(), datasets.end());
  for (const TransferRow* row : rows) {
    auto& line = cells.emplace_back();
    line.push_back(row->title());
    for (const std::string& dataset : datasets) {
      const auto recall = row->recall_by_dataset.find(dataset);
      line.push_back(recall == row->recall_by_dataset.end()
                         ? "-"
                         : fmt::format("{:.1f}", 100 * recall->second));
    }
  }
  return aligned(cells);
}

}  // namespace

std::string TransferRow::title() const {
  return learned_from.empty() ? "all" : learned_from;
}

std::vector<std::vector<const TransferRow*>> Evaluation::transfer_matrices() const {
  std::vector<std::vector<const TransferRow*>> matrices;
  for (const TransferRow& row : transfers) {
    const bool same = !matrices.empty() && matrices.back()[0]->predictor == row.predictor &&
                      matrices.back()[0]->lead == row.lead;
    if (!same) matrices.emplace_back();
    matrices.back().push_back(&row);
  }
  return matrices;
}

void mark_fronts(std::vector<EvaluationRow>& rows, int top_k) {
  for (EvaluationRow& row : rows) {
    const double recall = row.recall(top_k);
    row.on_front = std::none_of(rows.begin(), rows.end(), [&](const EvaluationRow& other) {
      if (other.lead != row.lead) return false;
      const double found = other.recall(top_k);
      return (found > recall && other.flops <= row.flops) ||
             (found >= recall && other.flops < row.flops);
    });
  }
}

double EvaluationRow::recall(int budget) const {
  const std::string wanted = fmt::format("recall@{}", budget);
  for (const auto& [name, interval] : metrics) {
    if (name == wanted) return interval.mean;
  }
  return 0;
}

std::string EvaluationRow::title() const {
  if (learned_texts == 0) return predictor;
  return fmt::format("{} (learned from {} of these {} texts)", predictor, learned_texts, texts);
}

Json Evaluation::to_json() const {
  Json json = {{"trace", trace},  {"model", model},
               {"split", split},  {"num_experts", num_experts},
               {"top_k", top_k},  {"num_moe_layers", num_moe_layers},
               {"device", device}};
  json["control"] = nullptr;
  if (has_control) {
    json["control"] = {{"decisions", control_decisions}, {"matches", control_matches}};
  }
  json["rows"] = Json::array();
  for (const EvaluationRow& row : rows) json["rows"].push_back(row_json(row));
  if (!transfers.empty()) {
    json["transfers"] = Json::array();
    for (const TransferRow& row : transfers) json["transfers"].push_back(transfer_json(row));
  }
  return json;
}

Evaluation Evaluation::from_json(const Json& json, const std::string& where) {
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
    evaluation.rows.push_back(row_from_json(row, where + ": rows"));
  if (reader.has("transfers")) {
    for (const Json& row : reader.array("transfers"))
      evaluation.transfers.push_back(transfer_from_json(row, where + ": transfers"));
  }
  return evaluation;
}

std::string Evaluation::to_table() const {
  std::string text = fmt::format(
      "{}: {} experts, top-{}, {} MoE layers; {} split; percent with 95% intervals over texts\n",
      model, num_experts, top_k, num_moe_layers, split);
  if (has_control) {
    text += fmt::format("control: own router {}% of {} decisions\n",
                        control_matches == control_decisions ? "100" : "BROKEN, under 100",
                        with_commas(control_decisions));
  } else {
    text +=
        "control: own router not available, the trace has no hidden states (collect with --record "
        "features)\n";
  }
  std::vector<std::string> leads;
  for (const EvaluationRow& row : rows) {
    if (std::find(leads.begin(), leads.end(), row.lead) == leads.end()) leads.push_back(row.lead);
  }
  for (const std::string& lead : leads) {
    std::vector<const EvaluationRow*> of_lead;
    for (const EvaluationRow& row : rows) {
      if (row.lead == lead) of_lead.push_back(&row);
    }
    text +=
        fmt::format("\n{} ({} decisions in {} texts)\n", lead,
                    with_commas(of_lead.front()->decisions), with_commas(of_lead.front()->texts));
    text += table_of(of_lead);
    if (!of_lead.front()->experts_for_recall.empty()) text += "\n" + use_table_of(of_lead);
  }
  for (const auto& matrix : transfer_matrices()) {
    text += fmt::format("\n{} at {}: recall@{} on the test texts of each dataset\n",
                        matrix.front()->predictor, matrix.front()->lead, top_k);
    text += transfer_table_of(matrix);
  }
  return text;
}

}  // namespace foregate::stats
