#include "stats/evaluation/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/number_text.h"

namespace foregate::stats {
namespace {

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

std::string table_of(const EvaluationRows& rows) {
  Cells cells = {{"predictor"}};
  for (const auto& [key, interval] : rows.front()->whole().metrics)
    cells[0].push_back(metric_name(key));
  for (const EvaluationRow* row : rows) {
    cells.push_back({row->title()});
    for (const auto& [key, interval] : row->whole().metrics)
      cells.back().push_back(percent(interval));
  }
  return aligned(cells);
}

/// What it takes to rely on each predictor: its gain, the experts to fetch, its honesty, its cost.
std::string use_table_of(const EvaluationRows& rows) {
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

/// The experiment, and whether its control holds.
std::string heading(const Evaluation& evaluation) {
  std::string text = fmt::format(
      "{}: {} experts, top-{}, {} MoE layers; {} split; percent with 95% intervals over texts\n",
      evaluation.model, evaluation.num_experts, evaluation.top_k, evaluation.num_moe_layers,
      evaluation.split);
  if (!evaluation.has_control) {
    return text +
           "control: own router not available, the trace has no hidden states (collect with "
           "--record features)\n";
  }
  const bool holds = evaluation.control_matches == evaluation.control_decisions;
  return text + fmt::format("control: own router {}% of {} decisions\n",
                            holds ? "100" : "BROKEN, under 100",
                            with_commas(evaluation.control_decisions));
}

}  // namespace

std::string evaluation_table(const Evaluation& evaluation) {
  std::string text = heading(evaluation);
  for (const auto& [lead, rows] : evaluation.rows_by_lead()) {
    const Slice& whole = rows.front()->whole();
    text += fmt::format("\n{} ({} decisions in {} texts)\n", lead, with_commas(whole.decisions),
                        with_commas(whole.texts));
    text += table_of(rows);
    if (rows.front()->experts_for_recall.empty()) continue;
    text += '\n';
    text += use_table_of(rows);
  }
  for (const auto& matrix : evaluation.transfer_matrices()) {
    text += fmt::format("\n{} at {}: recall@{} on the test texts of each dataset\n",
                        matrix.front()->predictor, matrix.front()->lead, evaluation.top_k);
    text += transfer_table_of(matrix);
  }
  return text;
}

}  // namespace foregate::stats
