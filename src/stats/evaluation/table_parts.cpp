#include "stats/evaluation/table_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/number_text.h"
#include "stats/evaluation/text_table.h"

namespace foregate::stats {
namespace {

constexpr const char* kLearnedFrom = "learned from \\ measured on";
constexpr size_t kShortestDataset = 6;

std::string control_line(const Evaluation& evaluation) {
  if (!evaluation.has_control) {
    return "control: own router not available, the trace has no hidden states (collect with "
           "--record features)";
  }
  const bool holds = evaluation.control_matches == evaluation.control_decisions;
  return fmt::format("control: own router {}% of {}", holds ? "100" : "BROKEN, under 100",
                     number_of(evaluation.control_decisions, "decision"));
}

/// One predictor's matrix.
std::string transfer_table(const std::vector<const TransferRow*>& rows, size_t columns) {
  std::set<std::string> datasets;
  for (const TransferRow* row : rows) {
    for (const auto& [dataset, recall] : row->recall_by_dataset) datasets.insert(dataset);
  }
  std::string corner = kLearnedFrom;
  size_t longest = std::string::npos;
  if (columns > 0 && !datasets.empty()) {
    corner = shortened_behind(corner, columns / (datasets.size() + 1) - 2);
    longest = std::max(kShortestDataset, columns / (datasets.size() + 1) - 2);
  }
  Cells cells = {{corner}};
  for (const std::string& dataset : datasets)
    cells[0].push_back(shortened_behind(dataset, longest));
  for (const TransferRow* row : rows) {
    auto& line = cells.emplace_back();
    line.push_back(shortened_behind(row->title(), longest));
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

std::string percent_cell(const Interval& interval, int64_t texts) {
  if (texts < kTextsForInterval) return fmt::format("{:.1f}", 100 * interval.mean);
  return fmt::format("{:5.1f} [{:.1f}, {:.1f}]", 100 * interval.mean, 100 * interval.low,
                     100 * interval.high);
}

std::string gain_cell(const EvaluationRow& row) {
  if (row.baseline.empty()) return "baseline";
  const Interval& gain = row.gain;
  if (row.whole().texts < kTextsForInterval) return fmt::format("{:+.1f}", 100 * gain.mean);
  return fmt::format("{:+.1f} [{:+.1f}, {:+.1f}]", 100 * gain.mean, 100 * gain.low,
                     100 * gain.high);
}

std::string evaluation_heading(const Evaluation& evaluation) {
  std::string text = fmt::format("{}: {}, top-{}, {}\n", evaluation.model,
                                 number_of(evaluation.num_experts, "expert"), evaluation.top_k,
                                 number_of(evaluation.num_moe_layers, "MoE layer"));
  const int64_t texts = evaluation.rows.empty() ? 0 : evaluation.rows.front().whole().texts;
  text += fmt::format("{} split, {}; percent{}\n", evaluation.split, number_of(texts, "text"),
                      texts < kTextsForInterval ? ", without intervals: those need several texts"
                                                : " with 95% intervals over texts");
  return text + control_line(evaluation) + "\n";
}

std::string phase_table(const Evaluation& evaluation, size_t name_columns) {
  const auto slice_of = [](const EvaluationRow& row, const Part& part) {
    const auto found = std::ranges::find(row.slices, part, &Slice::part);
    return found == row.slices.end() ? nullptr : &*found;
  };
  const Part phases[] = {Part::phase("prompt"), Part::phase("generated")};
  Cells cells = {{"lead", "predictor", phases[0].name, phases[1].name}};
  for (const auto& [lead, rows] : evaluation.rows_by_lead()) {
    for (const EvaluationRow* row : rows) {
      const std::string name =
          name_columns > 0 ? shortened_in_front(row->predictor, name_columns) : row->predictor;
      std::vector<std::string> line = {row == rows.front() ? lead : "", name};
      for (const Part& phase : phases) {
        const Slice* slice = slice_of(*row, phase);
        const Interval* recall =
            slice == nullptr ? nullptr : slice->metrics.find(recall_at(evaluation.top_k));
        if (recall == nullptr) continue;
        line.push_back(percent_cell(*recall, std::min(slice->texts, row->whole().texts)));
      }
      if (line.size() == cells.front().size()) cells.push_back(std::move(line));
    }
  }
  if (cells.size() == 1) return "";
  return fmt::format("\nrecall@{} of prompt and of generated tokens\n", evaluation.top_k) +
         aligned(cells, {.indent = 0, .left = 2});
}

std::string transfer_tables(const Evaluation& evaluation, size_t columns) {
  std::string text;
  for (const auto& matrix : evaluation.transfer_matrices()) {
    text += fmt::format("\n{} at {}: recall@{} on the test texts of each dataset{}\n",
                        matrix.front()->predictor, matrix.front()->lead, evaluation.top_k,
                        columns > 0 ? ", by the dataset learned from" : "");
    text += transfer_table(matrix, columns);
  }
  return text;
}

}  // namespace foregate::stats
