#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/charts/heat_map.h"
#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

constexpr double kNoInformation = std::numeric_limits<double>::quiet_NaN();

/// Bits of all pairs [n][n], NaN on the diagonal.
std::vector<double> matrix_of(const stats::LayerInformation& information) {
  const size_t n = information.layers().size();
  std::vector<double> bits(n * n, kNoInformation);
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = a + 1; b < n; ++b) bits[a * n + b] = bits[b * n + a] = information.bits(a, b);
  }
  return bits;
}

Table pairs_table(const stats::RoutingStatistics& statistics, const std::vector<double>& bits) {
  const std::vector<int>& layers = statistics.information.layers();
  Table table{
      {{"moe_layer_a"}, {"moe_layer_b"}, {"decoder_layer_a"}, {"decoder_layer_b"}, {"bits"}}, {}};
  for (size_t a = 0; a < layers.size(); ++a) {
    for (size_t b = a + 1; b < layers.size(); ++b) {
      table.rows.push_back(
          {int64_t{layers[a]}, int64_t{layers[b]}, decoder_layer(statistics.geometry, layers[a]),
           decoder_layer(statistics.geometry, layers[b]), bits[a * layers.size() + b]});
    }
  }
  return table;
}

Figure information_figure(const stats::RoutingStatistics& statistics,
                          const std::vector<double>& bits) {
  const std::vector<int>& layers = statistics.information.layers();
  HeatMap map;
  map.label = "Heat map of the mutual information between the routing of all pairs of layers";
  map.description = "Mutual information in bits of the experts chosen at two layers.";
  map.row_title = "layer";
  map.column_title = "layer";
  map.value_title = "mutual information (bits)";
  for (const int layer : layers)
    map.row_labels.push_back(std::to_string(decoder_layer(statistics.geometry, layer)));
  map.column_labels = map.row_labels;
  map.values = bits;
  map.unit = Unit::kBits;
  map.hole = "the layer itself";
  map.square = true;
  map.titles = false;
  double lowest = std::numeric_limits<double>::infinity();
  double largest = 0;
  for (const double value : bits) {
    if (std::isnan(value)) continue;
    lowest = std::min(lowest, value);
    largest = std::max(largest, value);
  }
  map.scale = even_scale(lowest, largest);
  Figure figure;
  figure.id = "layer-information";
  figure.title = "Mutual information between all layers";
  figure.reading = fmt::format(
      "How many bits an expert chosen at one layer tells about one chosen at another, for the same "
      "token; a layer's whole choice of one expert is log2 {} = {:.2f} bits at most. A strong band "
      "along the diagonal means that near layers decide alike; blocks are groups of layers. The "
      "colours run from the least to the most of all pairs.",
      statistics.geometry.num_experts, std::log2(statistics.geometry.num_experts));
  if (static_cast<int>(layers.size()) < statistics.geometry.num_moe_layers) {
    figure.reading += fmt::format(" Counted are {} of {} layers.", layers.size(),
                                  statistics.geometry.num_moe_layers);
  }
  const Table table = pairs_table(statistics, bits);
  figure.panels.push_back({"", draw(map), table});
  figure.data = [table](TableFile& file) { file.add(table); };
  return figure;
}

Figure information_distance_figure(const stats::RoutingStatistics& statistics,
                                   const std::vector<double>& bits) {
  const std::vector<int>& layers = statistics.information.layers();
  const size_t n = layers.size();
  LineChart chart;
  chart.label = "Line chart of mutual information by the distance between layers";
  chart.description = "Mean over all pairs of layers that are so many MoE layers apart.";
  chart.x_title = "MoE layers apart";
  chart.y_title = "bits";
  chart.unit = Unit::kBits;
  std::vector<double> sums(static_cast<size_t>(layers.back()) + 1);
  std::vector<int64_t> pairs(sums.size());
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = a + 1; b < n; ++b) {
      const auto apart = static_cast<size_t>(layers[b] - layers[a]);
      sums[apart] += bits[a * n + b];
      ++pairs[apart];
    }
  }
  Series series{"mean over pairs", {}};
  Table table{{{"moe_layers_apart"}, {"pairs"}, {"bits", Unit::kBits}}, {}};
  for (size_t apart = 1; apart < sums.size(); ++apart) {
    if (pairs[apart] == 0) continue;
    series.values.push_back(sums[apart] / static_cast<double>(pairs[apart]));
    chart.x_labels.push_back(std::to_string(apart));
    table.rows.push_back({static_cast<int64_t>(apart), pairs[apart], series.values.back()});
  }
  chart.series = {std::move(series)};
  return {"information-by-distance",
          "Mutual information by distance",
          "Mean over all pairs of layers that are so many MoE layers apart. The faster it falls, "
          "the less a prediction several layers ahead can draw on the experts known so far.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

}  // namespace

Section information_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Section section{"information", "Between all layers", {}, "", {}};
  if (statistics.usage.tokens() == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  if (statistics.information.layers().empty()) {
    section.paragraphs = {"There are no two MoE layers whose experts could be counted together."};
    return section;
  }
  const std::vector<double> bits = matrix_of(statistics.information);
  section.figures.push_back(information_figure(statistics, bits));
  if (statistics.information.layers().size() > 2)
    section.figures.push_back(information_distance_figure(statistics, bits));
  return section;
}

}  // namespace foregate::report
