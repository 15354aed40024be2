#include <fmt/format.h>

#include <algorithm>

#include "report/layers.h"
#include "report/line_chart.h"
#include "report/sections.h"

namespace foregate {
namespace {

constexpr int kMaxRanks = 8;

Table gate_table(const RoutingStatistics& statistics) {
  const Geometry& geometry = statistics.geometry;
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

}  // namespace

Section gates_section(const ReportInput& input) {
  const RoutingStatistics& statistics = input.statistics;
  const Geometry& geometry = statistics.geometry;
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
  return section;
}

}  // namespace foregate
