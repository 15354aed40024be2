#include "report/sections/evaluation/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/charts/heat_map.h"
#include "report/charts/line_chart.h"
#include "report/sections/evaluation/dataset_grid.h"

namespace foregate::report {
namespace {

Series budget_series(const stats::EvaluationRow& row, const std::set<int>& budgets) {
  Series series{row.title(), {}};
  for (const int budget : budgets) {
    const stats::Interval* recall = row.whole().metrics.find(stats::recall_at(budget));
    series.values.push_back(recall == nullptr ? std::nan("") : recall->mean);
  }
  return series;
}

Panel budget_panel(const std::string& lead, const stats::EvaluationRows& rows,
                   const std::set<int>& budgets) {
  LineChart chart;
  chart.label = "Line chart of recall by budget, lead " + lead;
  chart.description = "Share of the true experts found among the m highest-scored.";
  chart.x_title = "predicted experts m";
  chart.y_title = "recall@m";
  for (const int budget : budgets) chart.x_labels.push_back(std::to_string(budget));
  for (const stats::EvaluationRow* row : rows) {
    if (chart.series.size() == kMostPredictors) break;
    chart.series.push_back(budget_series(*row, budgets));
  }
  return {"lead " + lead, draw(chart), series_table(chart)};
}

Panel dataset_panel(const std::string& lead, const stats::EvaluationRows& rows, int top_k) {
  HeatMap map;
  map.label = "Heat map of recall by predictor and dataset, lead " + lead;
  map.description = "Share of the true experts found among as many predicted.";
  map.row_title = "predictor";
  map.column_title = "dataset";
  map.value_title = "recall@k";
  map.scale = sequential_scale(1);
  map.hole = "not measured";
  map.titles = false;
  map.numbers = true;
  Table table{{{"predictor"}}, {}};
  std::vector<DatasetRecalls> recalls;
  for (const stats::EvaluationRow* row : rows)
    recalls.emplace_back(row->title(), row->recall_by_dataset(top_k));
  fill_by_dataset(recalls, map, table);
  return {"lead " + lead, map.column_labels.empty() ? Chart() : draw(map), std::move(table)};
}

void write_datasets(const stats::Evaluation& evaluation, TableFile& file) {
  file.columns({{"predictor"}, {"lead"}, {"dataset"}, {"recall"}});
  for (const stats::EvaluationRow& row : evaluation.rows) {
    for (const auto& [dataset, recall] : row.recall_by_dataset(evaluation.top_k))
      file.row({row.predictor, row.lead, dataset, recall});
  }
}

}  // namespace

Figure recall_by_lead_figure(const stats::Evaluation& evaluation, const std::string& suffix) {
  LineChart chart;
  chart.label = "Line chart of recall by lead";
  chart.description = "Share of the true experts found, for every lead a predictor was given.";
  chart.x_title = "lead";
  chart.y_title = "recall@k";
  Table table{{{"predictor"},
               {"lead"},
               {"recall", Unit::kPercent},
               {"low", Unit::kPercent},
               {"high", Unit::kPercent}},
              {}};
  const auto groups = evaluation.rows_by_lead();
  for (size_t lead = 0; lead < groups.size(); ++lead) {
    chart.x_labels.push_back(groups[lead].first);
    for (const stats::EvaluationRow* row : groups[lead].second) {
      const stats::Interval* recall = row->whole().metrics.find(stats::recall_at(evaluation.top_k));
      if (recall == nullptr) continue;
      table.rows.push_back({row->predictor, row->lead, recall->mean, recall->low, recall->high});
      auto series = std::find_if(chart.series.begin(), chart.series.end(),
                                 [&](const Series& s) { return s.name == row->predictor; });
      if (series == chart.series.end()) {
        if (chart.series.size() == kMostPredictors) continue;
        series = chart.series.insert(
            series, {row->predictor, std::vector<double>(groups.size(), std::nan(""))});
      }
      series->values[lead] = recall->mean;
    }
  }
  return {"recall-by-lead" + suffix,
          "Recall by lead",
          "How much a predictor loses by having to predict earlier. Each point is a mean over all "
          "decisions of its lead; the table has 95% intervals over texts.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

Figure recall_by_budget_figure(const stats::Evaluation& evaluation, const std::string& suffix) {
  std::set<int> budgets;
  for (const stats::EvaluationRow& row : evaluation.rows) {
    for (const auto& [metric, interval] : row.whole().metrics) {
      if (metric.kind == stats::Metric::kRecall) budgets.insert(metric.budget);
    }
  }
  Figure figure;
  figure.id = "recall-by-budget" + suffix;
  figure.title = "Recall against budget";
  figure.reading = fmt::format(
      "Share of the {} true experts that are among the m highest-scored: what prefetching m "
      "experts a layer would have ready.",
      evaluation.top_k);
  figure.choice = "Show";
  for (const auto& [lead, rows] : evaluation.rows_by_lead())
    figure.panels.push_back(budget_panel(lead, rows, budgets));
  figure.data = [&evaluation, budgets](TableFile& file) {
    file.columns({{"predictor"}, {"lead"}, {"budget"}, {"recall"}, {"low"}, {"high"}});
    for (const stats::EvaluationRow& row : evaluation.rows) {
      for (const int budget : budgets) {
        const stats::Interval* recall = row.whole().metrics.find(stats::recall_at(budget));
        if (recall == nullptr) continue;
        file.row(
            {row.predictor, row.lead, int64_t{budget}, recall->mean, recall->low, recall->high});
      }
    }
  };
  return figure;
}

Figure recall_by_dataset_figure(const stats::Evaluation& evaluation, const std::string& suffix) {
  Figure figure;
  figure.id = "recall-by-dataset" + suffix;
  figure.title = "Recall by dataset";
  figure.reading =
      "Share of the true experts found when as many are predicted as the router chooses, for the "
      "texts of each dataset. Rows that are even across are predictors that carry over.";
  figure.choice = "Show";
  for (const auto& [lead, rows] : evaluation.rows_by_lead())
    figure.panels.push_back(dataset_panel(lead, rows, evaluation.top_k));
  figure.data = [&evaluation](TableFile& file) { write_datasets(evaluation, file); };
  return figure;
}

}  // namespace foregate::report
