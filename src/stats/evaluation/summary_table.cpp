#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "base/number_text.h"
#include "stats/evaluation/table.h"
#include "stats/evaluation/table_parts.h"
#include "stats/evaluation/text_table.h"

namespace foregate::stats {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kShortestName = 20;
constexpr size_t kPhaseNames = 40;  // columns of names beside two metrics and a lead
constexpr Alignment kAlignment = {.indent = 0, .left = 2};
constexpr const char* kSeen = "*";
constexpr const char* kKeptStart = "+";

/// A column: its heading, and what stands in each row. The first to be left out is the one with the
/// largest number; 0 always stays.
struct SummaryColumn {
  std::string heading;
  std::function<std::string(const EvaluationRow&)> cell;
  int expendable = 0;
};

SummaryColumn metric_column(const MetricKey& key, bool with_interval, int expendable) {
  return {metric_name(key),
          [key, with_interval](const EvaluationRow& row) -> std::string {
            const Interval* value = row.whole().metrics.find(key);
            if (value == nullptr) return "-";
            return percent_cell(*value, with_interval ? row.whole().texts : 0);
          },
          expendable};
}

/// recall@k with its interval, the whole set, recall at other budgets, threshold, gain.
std::vector<SummaryColumn> columns_of(const Evaluation& evaluation) {
  const int k = evaluation.top_k;
  const EvaluationRow& first = evaluation.rows.front();
  std::vector<SummaryColumn> columns = {metric_column(recall_at(k), true, 0)};
  columns.push_back(metric_column({Metric::kExactSet, k}, false, 2));
  int order = 3;
  for (const auto& [key, interval] : first.whole().metrics) {
    if (key.kind != Metric::kRecall || key.budget == k) continue;
    columns.push_back(metric_column(key, false, order++));
  }
  if (first.at_threshold) {
    columns.push_back({fmt::format("at p >= {}", first.at_threshold->probability),
                       [](const EvaluationRow& row) {
                         return fmt::format("{:.1f} experts, {:.1f}", row.at_threshold->experts,
                                            100 * row.at_threshold->recall);
                       },
                       1});
  }
  columns.push_back({"gain", [](const EvaluationRow& row) { return gain_cell(row); }, 0});
  return columns;
}

std::string mark_of(const EvaluationRow& row) {
  return std::string(row.learned_texts > 0 ? kSeen : "") + (row.kept_start ? kKeptStart : "");
}

/// A directory's own name if its path is too long, else the end of that.
std::string short_name(const std::string& predictor, size_t columns) {
  if (predictor.size() <= columns) return predictor;
  const std::string own = std::filesystem::path(predictor).filename().string();
  return shortened_in_front(own.empty() ? predictor : own, columns);
}

/// The rows' names within so many columns, or in full if they could then be mixed up.
std::vector<std::string> names_within(const Evaluation& evaluation, size_t columns) {
  std::vector<std::string> names;
  std::set<std::string> full;
  std::set<std::string> shown;
  for (const EvaluationRow& row : evaluation.rows) {
    const std::string mark = mark_of(row);
    names.push_back(short_name(row.predictor, columns - mark.size()) + mark);
    full.insert(row.predictor + mark);
    shown.insert(names.back());
  }
  if (full.size() == shown.size()) return names;
  for (size_t i = 0; i < names.size(); ++i) {
    names[i] = evaluation.rows[i].predictor + mark_of(evaluation.rows[i]);
  }
  return names;
}

Cells cells_of(const Evaluation& evaluation, const std::vector<SummaryColumn>& columns,
               size_t name_columns) {
  const std::vector<std::string> names = names_within(evaluation, name_columns);
  Cells cells = {{"lead", "predictor"}};
  for (const SummaryColumn& column : columns) cells[0].push_back(column.heading);
  for (const auto& [lead, rows] : evaluation.rows_by_lead()) {
    bool first = true;
    for (const EvaluationRow* row : rows) {
      auto& line = cells.emplace_back();
      line.push_back(first ? lead : "");
      first = false;
      line.push_back(names[static_cast<size_t>(row - evaluation.rows.data())]);
      for (const SummaryColumn& column : columns) line.push_back(column.cell(*row));
    }
  }
  return cells;
}

/// Leaves out columns, then shortens names, until the table fits. Whether columns are missing.
bool fit(const Evaluation& evaluation, std::vector<SummaryColumn>& columns, Cells& cells) {
  bool left_out = false;
  while (aligned_width(cells_of(evaluation, columns, kShortestName), kAlignment) > kColumns) {
    const auto last = std::ranges::max_element(columns, {}, &SummaryColumn::expendable);
    if (last->expendable == 0) break;
    columns.erase(last);
    left_out = true;
  }
  size_t name_columns = kShortestName;
  for (const EvaluationRow& row : evaluation.rows)
    name_columns = std::max(name_columns, row.predictor.size() + mark_of(row).size());
  cells = cells_of(evaluation, columns, name_columns);
  while (name_columns > kShortestName && aligned_width(cells, kAlignment) > kColumns) {
    cells = cells_of(evaluation, columns, --name_columns);
  }
  return left_out;
}

/// What the marks mean, a line each.
std::string footnotes(const Evaluation& evaluation, bool left_out) {
  std::string text;
  const auto any = [&](const auto& has) { return std::ranges::any_of(evaluation.rows, has); };
  if (any([](const EvaluationRow& row) { return row.learned_texts > 0; })) {
    text += fmt::format("  {} learned from some of these texts: not held out\n", kSeen);
  }
  if (any([](const EvaluationRow& row) { return row.kept_start; })) {
    text += fmt::format("  {} kept its start: no step of its training was better\n", kKeptStart);
  }
  if (left_out) text += "  more columns than fit: see --wide\n";
  return text;
}

}  // namespace

std::string evaluation_summary(const Evaluation& evaluation) {
  std::string text = evaluation_heading(evaluation);
  if (evaluation.rows.empty()) return text;
  std::vector<SummaryColumn> columns = columns_of(evaluation);
  Cells cells;
  const bool left_out = fit(evaluation, columns, cells);
  text += aligned(cells, kAlignment);
  text += footnotes(evaluation, left_out);
  return text + phase_table(evaluation, kPhaseNames) + transfer_tables(evaluation, kColumns);
}

}  // namespace foregate::stats
