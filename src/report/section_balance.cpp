#include "report/layers.h"
#include "report/line_chart.h"
#include "report/sections.h"
#include "stats/balance.h"

namespace foregate {
namespace {

Table balance_table(const RoutingStatistics& statistics) {
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"normalised_entropy"},
               {"busiest_expert_share", Unit::kPercent},
               {"coefficient_of_variation"}},
              {}};
  const Geometry& geometry = statistics.geometry;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const auto counts = statistics.usage.layer(layer);
    table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer),
                          normalised_entropy(counts), busiest_share(counts),
                          coefficient_of_variation(counts)});
  }
  return table;
}

std::vector<double> column(const Table& table, size_t index) {
  std::vector<double> values;
  for (const std::vector<Cell>& row : table.rows) values.push_back(std::get<double>(row[index]));
  return values;
}

Figure entropy_figure(const RoutingStatistics& statistics, const Table& table) {
  LineChart chart;
  chart.label = "Line chart of normalised entropy by layer";
  chart.description = "How evenly each layer's experts are used; 1 is perfectly even.";
  chart.x_title = "layer";
  chart.y_title = "entropy / log E";
  chart.x_labels = layer_labels(statistics.geometry);
  chart.series = {{"normalised entropy", column(table, 2)}};
  chart.unit = Unit::kNumber;
  chart.from_zero = false;
  return {"normalised-entropy",
          "Evenness of use by layer",
          "Entropy of a layer's usage divided by its largest possible value: 1 means that all "
          "experts are used equally, 0 that one takes everything. The axis does not start at 0.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

Figure busiest_figure(const RoutingStatistics& statistics, const Table& table) {
  const Geometry& geometry = statistics.geometry;
  const auto layers = static_cast<size_t>(geometry.num_moe_layers);
  LineChart chart;
  chart.label = "Line chart of the busiest expert's share by layer";
  chart.description = "Share of each layer's choices that its most used expert takes.";
  chart.x_title = "layer";
  chart.y_title = "share of choices";
  chart.x_labels = layer_labels(geometry);
  chart.series = {{"busiest expert", column(table, 3)},
                  {"even use", std::vector<double>(layers, 1.0 / geometry.num_experts), true}};
  return {"busiest-expert",
          "The busiest expert's share by layer",
          "How much of a layer's choices its most used expert takes, beside the share that even "
          "use would give it (dashed). No expert can take more than 1/k.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

}  // namespace

Section balance_section(const ReportInput& input) {
  Section section{"balance", "Load balance", {}, "", {}};
  if (input.statistics.usage.tokens() == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  const Table table = balance_table(input.statistics);
  section.figures.push_back(entropy_figure(input.statistics, table));
  section.figures.push_back(busiest_figure(input.statistics, table));
  return section;
}

}  // namespace foregate
