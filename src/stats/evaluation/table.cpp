#include "stats/evaluation/table.h"

#include <fmt/format.h>

#include "base/number_text.h"
#include "stats/evaluation/table_parts.h"
#include "stats/evaluation/text_table.h"

namespace foregate::stats {
namespace {

std::string metrics_table(const EvaluationRows& rows) {
  Cells cells = {{"predictor"}};
  for (const auto& [key, interval] : rows.front()->whole().metrics)
    cells[0].push_back(metric_name(key));
  for (const EvaluationRow* row : rows) {
    cells.push_back({row->title()});
    for (const auto& [key, interval] : row->whole().metrics)
      cells.back().push_back(percent_cell(interval, row->whole().texts));
  }
  return aligned(cells);
}

/// What it takes to rely on each predictor: its gain, the experts to fetch, its honesty, its cost.
std::string use_table(const EvaluationRows& rows) {
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
    line.push_back(gain_cell(*row));
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

}  // namespace

std::string evaluation_table(const Evaluation& evaluation) {
  std::string text = evaluation_heading(evaluation);
  for (const auto& [lead, rows] : evaluation.rows_by_lead()) {
    const Slice& whole = rows.front()->whole();
    text += fmt::format("\n{} ({} in {})\n", lead, number_of(whole.decisions, "decision"),
                        number_of(whole.texts, "text"));
    text += metrics_table(rows);
    if (rows.front()->experts_for_recall.empty()) continue;
    text += '\n';
    text += use_table(rows);
  }
  return text + phase_table(evaluation, 0) + transfer_tables(evaluation, 0);
}

}  // namespace foregate::stats
