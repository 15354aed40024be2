#include <fmt/format.h>

#include "base/number_text.h"
#include "report/charts/xy_chart.h"
#include "report/sections/evaluation/figures.h"

namespace foregate::report {
namespace {

Panel reliability_panel(const std::string& lead, const stats::EvaluationRows& rows) {
  XyChart chart;
  chart.label = "Reliability diagram, lead " + lead;
  chart.description = "Share of experts that were chosen, by the probability stated for them.";
  chart.x_title = "probability stated";
  chart.y_title = "share chosen";
  Table table{{{"predictor"},
               {"stated", Unit::kPercent},
               {"chosen", Unit::kPercent},
               {"pairs", Unit::kCount}},
              {}};
  for (const stats::EvaluationRow* row : rows) {
    XySeries series{
        fmt::format("{} (error {:.2f} points)", row->title(), 100 * row->calibration_error),
        {},
        true};
    for (const stats::ReliabilityBin& bin : row->reliability) {
      series.points.push_back(
          {bin.stated, bin.chosen,
           fmt::format("stated {}, chosen {} of {} pairs", format_value(bin.stated, Unit::kPercent),
                       format_value(bin.chosen, Unit::kPercent), with_commas(bin.pairs))});
      table.rows.push_back({row->title(), bin.stated, bin.chosen, bin.pairs});
    }
    if (!series.points.empty() && chart.series.size() < kMostPredictors)
      chart.series.push_back(std::move(series));
  }
  chart.series.push_back({"as stated", {{0, 0, ""}, {1, 1, ""}}, true, true});
  return {"lead " + lead, draw(chart), std::move(table)};
}

}  // namespace

Figure reliability_figure(const stats::Evaluation& evaluation, const std::string& suffix) {
  Figure figure;
  figure.id = "reliability" + suffix;
  figure.title = "Reliability of the probabilities";
  figure.reading =
      "Scores become probabilities by a map fitted on validation texts. Every pair of a decision "
      "and an expert falls into a bin by its stated probability; a point is the mean probability "
      "of a bin against the share of its experts that the router chose. On the dashed line "
      "probabilities hold; below it a predictor is too sure. The error is the mean distance from "
      "that line over all pairs.";
  figure.choice = "Show";
  for (const auto& [lead, rows] : evaluation.rows_by_lead())
    figure.panels.push_back(reliability_panel(lead, rows));
  figure.data = [&evaluation](TableFile& file) {
    file.columns({{"predictor"}, {"lead"}, {"stated"}, {"chosen"}, {"pairs"}});
    for (const stats::EvaluationRow& row : evaluation.rows) {
      for (const stats::ReliabilityBin& bin : row.reliability)
        file.row({row.predictor, row.lead, bin.stated, bin.chosen, bin.pairs});
    }
  };
  return figure;
}

}  // namespace foregate::report
