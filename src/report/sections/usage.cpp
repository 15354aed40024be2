#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "report/charts/heat_map.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

double ratio_to_even(const stats::RoutingStatistics& statistics, int layer, int expert) {
  return statistics.usage.share(layer, expert) * statistics.geometry.num_experts;
}

Table all_usage(const stats::RoutingStatistics& statistics) {
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"expert"},
               {"decisions"},
               {"share"},
               {"ratio_to_even"},
               {"gate_mass_share"}},
              {}};
  const trace::Geometry& geometry = statistics.geometry;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int expert = 0; expert < geometry.num_experts; ++expert) {
      table.rows.push_back(
          {int64_t{layer}, decoder_layer(geometry, layer), int64_t{expert},
           statistics.usage.count(layer, expert), statistics.usage.share(layer, expert),
           ratio_to_even(statistics, layer, expert), statistics.gate_mass.share(layer, expert)});
    }
  }
  return table;
}

Table ratio_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"layer"}}, {}};
  for (int expert = 0; expert < geometry.num_experts; ++expert)
    table.columns.push_back({fmt::format("e{}", expert), Unit::kRatio});
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    std::vector<Cell> row = {decoder_layer(geometry, layer)};
    for (int expert = 0; expert < geometry.num_experts; ++expert)
      row.emplace_back(ratio_to_even(statistics, layer, expert));
    table.rows.push_back(std::move(row));
  }
  return table;
}

HeatMap usage_map(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  HeatMap map;
  map.label = "Heat map of expert usage by layer";
  map.description = fmt::format(
      "{} MoE layers by {} experts; each cell is an expert's share of its layer's choices relative "
      "to even use.",
      geometry.num_moe_layers, geometry.num_experts);
  map.row_title = "layer";
  map.column_title = "expert";
  map.value_title = "share of choices relative to even use (1× = even)";
  map.row_labels = layer_labels(geometry);
  map.column_labels = index_labels(geometry.num_experts);
  map.scale = ratio_scale();
  map.unit = Unit::kRatio;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int expert = 0; expert < geometry.num_experts; ++expert)
      map.values.push_back(ratio_to_even(statistics, layer, expert));
  }
  return map;
}

/// Every layer's experts by load, the busiest first.
HeatMap sorted_map(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  HeatMap map = usage_map(statistics);
  map.label = "Heat map of expert usage by layer, each layer sorted by load";
  map.column_title = "place by load";
  map.column_labels.clear();
  for (int place = 1; place <= geometry.num_experts; ++place)
    map.column_labels.push_back(std::to_string(place));
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const auto row = map.values.begin() + static_cast<std::ptrdiff_t>(layer) * geometry.num_experts;
    std::sort(row, row + geometry.num_experts, std::greater<>());
  }
  map.titles = false;
  return map;
}

/// Which expert has which place in its layer.
Table places_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"layer"}}, {}};
  for (int place = 1; place <= geometry.num_experts; ++place)
    table.columns.push_back({fmt::format("#{}", place)});
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    std::vector<int64_t> experts(static_cast<size_t>(geometry.num_experts));
    std::iota(experts.begin(), experts.end(), int64_t{0});
    std::stable_sort(experts.begin(), experts.end(), [&](int64_t a, int64_t b) {
      return statistics.usage.count(layer, static_cast<int>(a)) >
             statistics.usage.count(layer, static_cast<int>(b));
    });
    std::vector<Cell> row = {decoder_layer(geometry, layer)};
    for (const int64_t expert : experts) row.emplace_back(expert);
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Section usage_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Section section{"usage", "Expert usage", {}, "", {}};
  if (statistics.usage.tokens() == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  Figure figure;
  figure.id = "expert-usage";
  figure.title = "Expert usage by layer";
  figure.reading = fmt::format(
      "Each row is a MoE layer, each column an expert. Grey is what even use would give ({} of a "
      "layer's choices); orange experts are chosen more often, blue ones less.",
      format_value(1.0 / statistics.geometry.num_experts, Unit::kPercent));
  figure.choice = "Experts";
  figure.panels.push_back({"by number", draw(usage_map(statistics)), ratio_table(statistics)});
  figure.panels.push_back(
      {"by load in each layer", draw(sorted_map(statistics)), places_table(statistics)});
  figure.data = [&statistics](TableFile& file) { file.add(all_usage(statistics)); };
  section.figures.push_back(std::move(figure));
  return section;
}

}  // namespace foregate::report
