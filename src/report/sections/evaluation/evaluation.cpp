#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/number_text.h"
#include "report/charts/bar_chart.h"
#include "report/charts/line_chart.h"
#include "report/sections/evaluation/figures.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

using Rows = stats::EvaluationRows;

std::string cell_html(const stats::EvaluationRow& row, const Rows& rows,
                      const stats::MetricKey& metric) {
  const stats::Interval* value = row.whole().metrics.find(metric);
  if (value == nullptr) return "<td class=\"n\">–</td>";
  const bool best = std::all_of(rows.begin(), rows.end(), [&](const stats::EvaluationRow* other) {
    const stats::Interval* rival = other->whole().metrics.find(metric);
    return rival == nullptr || rival->mean <= value->mean;
  });
  const std::string mean = fmt::format("{:.1f}", 100 * value->mean);
  std::string html = "<td class=\"n\">" + (best ? "<strong>" + mean + "</strong>" : mean);
  if (row.whole().texts >= stats::kTextsForInterval) {
    html += fmt::format(" <span class=\"interval\">[{:.1f}, {:.1f}]</span>", 100 * value->low,
                        100 * value->high);
  }
  return html + "</td>";
}

std::string lead_table(const std::string& lead, const Rows& rows) {
  const stats::Slice& whole = rows.front()->whole();
  std::string html = fmt::format(
      "<h3>Lead {} <small>{} of {}</small></h3>\n"
      "<div class=\"scroll\" tabindex=\"0\"><table class=\"results\"><thead><tr>"
      "<th scope=\"col\">predictor</th>",
      escape(lead), number_of(whole.decisions, "decision"), number_of(whole.texts, "text"));
  for (const auto& [metric, interval] : whole.metrics)
    html += fmt::format("<th scope=\"col\">{}</th>", escape(stats::metric_name(metric)));
  html += "</tr></thead><tbody>\n";
  for (const stats::EvaluationRow* row : rows) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", escape(row->title()));
    for (const auto& [metric, interval] : whole.metrics) html += cell_html(*row, rows, metric);
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string control_html(const stats::Evaluation& evaluation) {
  if (!evaluation.has_control)
    return "<p class=\"note\">Own-router control: not available, the trace has no hidden "
           "states (collect with --record features).</p>\n";
  const std::string decisions = with_commas(evaluation.control_decisions);
  if (evaluation.control_matches == evaluation.control_decisions)
    return fmt::format(
        "<p class=\"note\">Own-router control: 100% of {} decisions, as it must be.</p>\n",
        decisions);
  return fmt::format(
      "<p class=\"alarm\">Own-router control: only {} of {} decisions match. Features and "
      "decisions do not belong together: do not trust these numbers.</p>\n",
      with_commas(evaluation.control_matches), decisions);
}

Table metric_table(const stats::Evaluation& evaluation) {
  Table table{{{"predictor"}, {"lead"}, {"metric"}, {"mean"}, {"low"}, {"high"}}, {}};
  for (const stats::EvaluationRow& row : evaluation.rows) {
    for (const auto& [metric, interval] : row.whole().metrics) {
      table.rows.push_back({row.predictor, row.lead, stats::metric_name(metric), interval.mean,
                            interval.low, interval.high});
    }
  }
  return table;
}

Panel bar_panel(const std::string& lead, const Rows& rows, int top_k) {
  const std::string metric = stats::metric_name(stats::recall_at(top_k));
  BarChart chart;
  chart.label = fmt::format("Bar chart of {} by predictor, lead {}", metric, lead);
  chart.description = "Bars are means over all decisions; whiskers are 95% intervals over texts.";
  chart.x_title = metric;
  chart.largest = 1;
  Table table{
      {{"predictor"}, {metric, Unit::kPercent}, {"low", Unit::kPercent}, {"high", Unit::kPercent}},
      {}};
  for (const stats::EvaluationRow* row : rows) {
    const stats::Interval* interval = row->whole().metrics.find(stats::recall_at(top_k));
    if (interval == nullptr) continue;
    chart.bars.push_back({row->title(), interval->mean, interval->low, interval->high, ""});
    table.rows.push_back({row->title(), interval->mean, interval->low, interval->high});
  }
  return {"lead " + lead, draw(chart), std::move(table)};
}

Panel layer_panel(const std::string& lead, const Rows& rows, const trace::Geometry& geometry,
                  int layers, int top_k) {
  LineChart chart;
  chart.label = "Line chart of recall by layer, lead " + lead;
  chart.description = "Share of the true experts found among as many predicted, by layer.";
  chart.x_title = "layer";
  chart.y_title = "recall@k";
  Table table{{{"layer"}}, {}};
  for (int layer = 0; layer < layers; ++layer) {
    chart.x_labels.push_back(std::to_string(decoder_layer(geometry, layer)));
    table.rows.push_back({decoder_layer(geometry, layer)});
  }
  for (const stats::EvaluationRow* row : rows) {
    Series series{row->title(), std::vector<double>(static_cast<size_t>(layers), std::nan(""))};
    for (const auto& [part, recall] : row->recalls(stats::Part::By::kLayer, top_k)) {
      if (part.layer < layers) series.values[static_cast<size_t>(part.layer)] = recall;
    }
    table.columns.push_back({row->title(), Unit::kPercent});
    for (size_t i = 0; i < table.rows.size(); ++i) table.rows[i].emplace_back(series.values[i]);
    chart.series.push_back(std::move(series));
  }
  return {"lead " + lead, draw(chart), std::move(table)};
}

Table layer_table(const stats::Evaluation& evaluation) {
  Table table{{{"predictor"}, {"lead"}, {"moe_layer"}, {"recall"}}, {}};
  for (const stats::EvaluationRow& row : evaluation.rows) {
    for (const auto& [part, recall] : row.recalls(stats::Part::By::kLayer, evaluation.top_k))
      table.rows.push_back({row.predictor, row.lead, int64_t{part.layer}, recall});
  }
  return table;
}

void add_figures(const stats::Evaluation& evaluation, const trace::Geometry& geometry,
                 const std::string& suffix, Section& section) {
  const int top_k = evaluation.top_k;
  Figure bars{"recall" + suffix,
              "Predictors side by side",
              stats::metric_name(stats::recall_at(top_k)) +
                  " of each predictor at the chosen lead, with its 95% interval over texts. "
                  "Compare predictors within one lead only: a later lead knows more.",
              "Show",
              {},
              [&evaluation](TableFile& file) { file.add(metric_table(evaluation)); }};
  Figure lines{"recall-by-layer" + suffix,
               "Recall by layer",
               "Share of a layer's true experts that are found when as many experts are "
               "predicted as the router chooses.",
               "Show",
               {},
               [&evaluation](TableFile& file) { file.add(layer_table(evaluation)); }};
  for (const auto& [lead, rows] : evaluation.rows_by_lead()) {
    bars.panels.push_back(bar_panel(lead, rows, top_k));
    lines.panels.push_back(layer_panel(lead, rows, geometry, evaluation.num_moe_layers, top_k));
  }
  const size_t leads = bars.panels.size();
  section.figures.push_back(std::move(bars));
  if (leads > 1) section.figures.push_back(recall_by_lead_figure(evaluation, suffix));
  section.figures.push_back(recall_by_budget_figure(evaluation, suffix));
  section.figures.push_back(std::move(lines));
  section.figures.push_back(recall_by_dataset_figure(evaluation, suffix));
  if (!evaluation.transfers.empty()) section.figures.push_back(transfer_figure(evaluation, suffix));
  const auto any = [&](const auto& has) {
    return std::any_of(evaluation.rows.begin(), evaluation.rows.end(), has);
  };
  if (any([](const stats::EvaluationRow& row) { return row.flops > 0; }))
    section.figures.push_back(cost_figure(evaluation, suffix));
  if (any([](const stats::EvaluationRow& row) { return !row.reliability.empty(); }))
    section.figures.push_back(reliability_figure(evaluation, suffix));
}

}  // namespace

Section evaluation_section(const ReportInput& input) {
  Section section{"evaluation", "Predictors", {}, "", {}};
  if (input.evaluations.empty()) {
    section.paragraphs = {"No predictor was evaluated; name some with --predictor."};
    return section;
  }
  section.paragraphs = {
      "Percent, with 95% intervals bootstrapped over texts. recall@m: share of the true experts "
      "among the m highest-scored; exact-set@m: decisions whose experts are all among them; "
      "gate-mass@m: gate weight covered; top-1: the highest-scored expert is the highest-weighted "
      "true one. The best of each lead is bold."};
  for (size_t i = 0; i < input.evaluations.size(); ++i) {
    const stats::Evaluation& evaluation = input.evaluations[i];
    section.html +=
        fmt::format("<p class=\"subject\">{}: {} experts, top-{}, {}; {} split of {}</p>\n",
                    escape(evaluation.model), evaluation.num_experts, evaluation.top_k,
                    number_of(evaluation.num_moe_layers, "MoE layer"), escape(evaluation.split),
                    escape(evaluation.trace));
    section.html += control_html(evaluation);
    for (const auto& [lead, rows] : evaluation.rows_by_lead())
      section.html += lead_table(lead, rows);
    if (evaluation.rows.empty()) continue;
    const std::string suffix = i == 0 ? "" : fmt::format("-{}", i + 1);
    add_figures(evaluation, input.statistics.geometry, suffix, section);
  }
  return section;
}

}  // namespace foregate::report
