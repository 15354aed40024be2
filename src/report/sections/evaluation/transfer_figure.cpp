#include <fmt/format.h>

#include <algorithm>

#include "report/charts/heat_map.h"
#include "report/sections/evaluation/dataset_grid.h"
#include "report/sections/evaluation/figures.h"

namespace foregate::report {
namespace {

constexpr double kSmallestRange = 0.01;  // of recall, so that equal values have a scale

Panel transfer_panel(const std::vector<const stats::TransferRow*>& rows, int top_k) {
  double low = 1;
  double high = 0;
  std::vector<DatasetRecalls> recalls;
  for (const stats::TransferRow* row : rows) {
    recalls.emplace_back(row->title(), row->recall_by_dataset);
    for (const auto& [dataset, recall] : row->recall_by_dataset) {
      low = std::min(low, recall);
      high = std::max(high, recall);
    }
  }
  const std::string name = fmt::format("{} at {}", rows[0]->predictor, rows[0]->lead);
  HeatMap map;
  map.label = "Heat map of recall by dataset learned from and measured on, " + name;
  map.description = "Rows: what the predictor learned from. Columns: the texts it was measured on.";
  map.row_title = "learned from";
  map.column_title = "measured on";
  map.value_title = fmt::format("recall@{}", top_k);
  map.scale = even_scale(std::min(low, high), std::max(high, low + kSmallestRange));
  map.hole = "not measured";
  map.numbers = true;
  map.titles = false;
  Table table{{{"learned from"}}, {}};
  fill_by_dataset(recalls, map, table);
  return {name, draw(map), std::move(table)};
}

}  // namespace

Figure transfer_figure(const stats::Evaluation& evaluation, const std::string& suffix) {
  Figure figure;
  figure.id = "cross-domain" + suffix;
  figure.title = "Across domains";
  figure.reading = fmt::format(
      "Recall@{} on the test texts of each dataset (columns) of a predictor that learned from the "
      "training texts of all datasets or of one alone (rows). A row that is strong only on its own "
      "dataset learned what does not carry over.",
      evaluation.top_k);
  figure.choice = "Show";
  for (const auto& rows : evaluation.transfer_matrices())
    figure.panels.push_back(transfer_panel(rows, evaluation.top_k));
  figure.data = [&evaluation](TableFile& file) {
    file.columns({{"predictor"}, {"lead"}, {"learned_from"}, {"measured_on"}, {"recall"}});
    for (const stats::TransferRow& row : evaluation.transfers) {
      for (const auto& [dataset, recall] : row.recall_by_dataset)
        file.row({row.predictor, row.lead, row.title(), dataset, recall});
    }
  };
  return figure;
}

}  // namespace foregate::report
