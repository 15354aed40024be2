#include <fmt/format.h>

#include <algorithm>

#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

constexpr int kMaxRanks = 8;

Table gate_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"}, {"decoder_layer"}}, {}};
  for (int rank = 0; rank < geometry.top_k; ++rank)
    table.columns.push_back({fmt::format("mean_weight_rank_{}", rank + 1)});
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    std::vector<Cell> row = {int64_t{layer}, decoder_layer(geometry, layer)};
    for (int rank = 0; rank < geometry.top_k; ++rank)
      row.emplace_back(statistics.gate_mass.mean_of_rank(layer, rank));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table histogram_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"}, {"decoder_layer"}, {"rank"}, {"bin_start"}, {"decisions"}}, {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int rank = 0; rank < geometry.top_k; ++rank) {
      for (int bin = 0; bin < stats::GateHistogram::kBins; ++bin) {
        table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer), int64_t{rank + 1},
                              static_cast<double>(bin) / stats::GateHistogram::kBins,
                              statistics.gate_histogram.count(layer, rank, bin)});
      }
    }
  }
  return table;
}

Figure histogram_figure(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  const double decisions =
      static_cast<double>(statistics.gate_histogram.tokens()) * geometry.num_moe_layers;
  LineChart chart;
  chart.label = "Distribution of gate weights by rank";
  chart.description = "Share of decisions whose gate weight lies in each bin of 0.02, by rank.";
  chart.x_title = "gate weight (bin of 0.02 from)";
  chart.y_title = "share of decisions";
  for (int bin = 0; bin < stats::GateHistogram::kBins; ++bin) {
    const double start = static_cast<double>(bin) / stats::GateHistogram::kBins;
    chart.x_labels.push_back(fmt::format("{:.2f}", start));
  }
  for (int rank = 0; rank < std::min(geometry.top_k, kMaxRanks); ++rank) {
    Series series{fmt::format("rank {}", rank + 1), {}};
    for (int bin = 0; bin < stats::GateHistogram::kBins; ++bin) {
      int64_t count = 0;
      for (int layer = 0; layer < geometry.num_moe_layers; ++layer)
        count += statistics.gate_histogram.count(layer, rank, bin);
      series.values.push_back(static_cast<double>(count) / decisions);
    }
    chart.series.push_back(std::move(series));
  }
  return {"gate-weight-distribution",
          "Distribution of gate weights by rank",
          "Share of the decisions of all layers whose gate weight of that rank lies in a bin of "
          "0.02. Ranks whose curves overlap are nearly interchangeable: the router hardly prefers "
          "one to the other. --tables has every layer of its own.",
          "",
          {{"", draw(chart), series_table(chart)}},
          [&statistics](TableFile& file) { file.add(histogram_table(statistics)); }};
}

}  // namespace

Section gates_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  const trace::Geometry& geometry = statistics.geometry;
  Section section{"gates", "Gate weights", {}, "", {}};
  if (statistics.gate_mass.tokens() == 0) {
    section.paragraphs = {statistics.usage.tokens() == 0 ? kNoTokens
                                                         : "The trace has no gate weights."};
    return section;
  }
  LineChart chart;
  chart.label = "Line chart of the mean gate weight by rank and layer";
  chart.description = "Mean gate weight of the first to the last of the chosen experts.";
  chart.x_title = "layer";
  chart.y_title = "mean gate weight";
  chart.x_labels = layer_labels(geometry);
  chart.unit = Unit::kNumber;
  for (int rank = 0; rank < std::min(geometry.top_k, kMaxRanks); ++rank) {
    Series series{fmt::format("rank {}", rank + 1), {}};
    for (int layer = 0; layer < geometry.num_moe_layers; ++layer)
      series.values.push_back(statistics.gate_mass.mean_of_rank(layer, rank));
    chart.series.push_back(std::move(series));
  }
  Figure figure{"gate-weights",
                "Gate weight by rank",
                "Mean gate weight of the experts of a decision, the highest-weighted first. Where "
                "the first line is far above the others, missing the first expert costs most.",
                "",
                {{"", draw(chart), gate_table(statistics)}},
                [&statistics](TableFile& file) { file.add(gate_table(statistics)); }};
  section.figures.push_back(std::move(figure));
  section.figures.push_back(histogram_figure(statistics));
  return section;
}

}  // namespace foregate::report
