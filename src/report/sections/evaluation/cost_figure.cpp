#include <fmt/format.h>

#include <algorithm>

#include "base/number_text.h"
#include "report/charts/xy_chart.h"
#include "report/sections/evaluation/figures.h"

namespace foregate::report {
namespace {

constexpr double kMargin = 0.03;  // of recall, above and below the points

std::string cost_text(const stats::EvaluationRow& row, int top_k) {
  return fmt::format("recall@{} {}, {} FLOP/token, {:.1f} µs/token, {}{}", top_k,
                     format_value(row.recall(top_k), Unit::kPercent),
                     with_commas(static_cast<int64_t>(row.flops)), row.microseconds,
                     human_bytes(static_cast<uint64_t>(row.weight_bytes)),
                     row.on_front ? ", on the front" : "");
}

/// The rows that nothing cheaper equals, from the cheapest on.
XySeries front_of(const stats::EvaluationRows& rows, int top_k) {
  XySeries front{"Pareto front", {}, true, true};
  for (const stats::EvaluationRow* row : rows) {
    if (row->on_front) front.points.push_back({row->flops, row->recall(top_k), ""});
  }
  std::sort(front.points.begin(), front.points.end(),
            [](const XyPoint& a, const XyPoint& b) { return a.x < b.x; });
  return front;
}

Panel cost_panel(const std::string& lead, const stats::EvaluationRows& rows, int top_k) {
  XyChart chart;
  chart.label = "Recall against cost by predictor, lead " + lead;
  chart.description = "Each point is a predictor; the dashed line joins those nothing beats.";
  chart.x_title = "floating-point operations to score a token at all layers";
  chart.y_title = fmt::format("recall@{}", top_k);
  chart.log_x = true;
  chart.y_low = 1;
  chart.y_high = 0;
  Table table{{{"predictor"},
               {"recall", Unit::kPercent},
               {"FLOP/token", Unit::kCount},
               {"µs/token", Unit::kCount},
               {"bytes", Unit::kCount},
               {"on front"}},
              {}};
  for (const stats::EvaluationRow* row : rows) {
    const double recall = row->recall(top_k);
    table.rows.push_back({row->title(), recall, row->flops, row->microseconds, row->weight_bytes,
                          row->on_front ? "yes" : ""});
    if (chart.series.size() == kMostPredictors) continue;
    chart.series.push_back({row->title(), {{row->flops, recall, cost_text(*row, top_k)}}});
    chart.y_low = std::min(chart.y_low, std::max(0.0, recall - kMargin));
    chart.y_high = std::max(chart.y_high, std::min(1.0, recall + kMargin));
  }
  chart.series.push_back(front_of(rows, top_k));
  return {"lead " + lead, draw(chart), std::move(table)};
}

}  // namespace

Figure cost_figure(const stats::Evaluation& evaluation, const std::string& suffix) {
  Figure figure;
  figure.id = "recall-by-cost" + suffix;
  figure.title = "Recall against cost";
  figure.reading = fmt::format(
      "Share of the true experts among the {} highest-scored, against the operations it takes to "
      "score a token at all layers. Left and high is good: points under the dashed line cost more "
      "than one that finds as much. Microseconds are those of this machine's CPU.",
      evaluation.top_k);
  figure.choice = "Show";
  for (const auto& [lead, rows] : evaluation.rows_by_lead())
    figure.panels.push_back(cost_panel(lead, rows, evaluation.top_k));
  figure.data = [&evaluation](TableFile& file) {
    file.columns({{"predictor"},
                  {"lead"},
                  {"recall"},
                  {"flops_per_token"},
                  {"microseconds_per_token"},
                  {"weight_bytes"},
                  {"on_front"}});
    for (const stats::EvaluationRow& row : evaluation.rows) {
      file.row({row.predictor, row.lead, row.recall(evaluation.top_k), row.flops, row.microseconds,
                row.weight_bytes, int64_t{row.on_front ? 1 : 0}});
    }
  };
  return figure;
}

}  // namespace foregate::report
