#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "stats/balance.h"

namespace foregate::report {
namespace {

Table overlap_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"reused_share", Unit::kPercent},
               {"by_usage_alone", Unit::kPercent},
               {"by_chance", Unit::kPercent}},
              {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer),
                          statistics.overlap.share(layer),
                          stats::chance_overlap(statistics.usage.layer(layer), geometry.top_k),
                          static_cast<double>(geometry.top_k) / geometry.num_experts});
  }
  return table;
}

std::vector<size_t> seen_distances(const stats::TokenOverlap& overlap) {
  std::vector<size_t> seen;
  for (size_t i = 0; i < stats::TokenOverlap::kDistances.size(); ++i) {
    if (overlap.pairs(i) > 0) seen.push_back(i);
  }
  return seen;
}

Figure distance_figure(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  const stats::TokenOverlap& overlap = statistics.overlap;
  const std::vector<size_t> distances = seen_distances(overlap);
  LineChart chart;
  chart.label = "Line chart of the experts used again by the distance between tokens";
  chart.description = "Share of a token's experts that a later token chooses too.";
  chart.x_title = "distance (tokens)";
  chart.y_title = "share of experts";
  for (const size_t i : distances)
    chart.x_labels.push_back(std::to_string(stats::TokenOverlap::kDistances[i]));
  chart.series = layer_lines(geometry, distances.size(), [&](int layer, size_t column) {
    return overlap.share(layer, distances[column]);
  });
  const double alone = layer_mean(geometry, [&](int layer) {
    return stats::chance_overlap(statistics.usage.layer(layer), geometry.top_k);
  });
  chart.series.push_back(
      {"expected from usage alone (mean)", std::vector<double>(distances.size(), alone), true});
  Table table{
      {{"moe_layer"}, {"decoder_layer"}, {"distance"}, {"pairs"}, {"reused_share", Unit::kPercent}},
      {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (const size_t i : distances) {
      table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer),
                            int64_t{stats::TokenOverlap::kDistances[i]}, overlap.pairs(i),
                            overlap.share(layer, i)});
    }
  }
  return {"overlap-by-distance",
          "The same experts again, by distance",
          "Share of the k experts of a token that the token so many places later chooses too. "
          "Where the line falls to the dashed one, the text's past says no more than usage does.",
          "",
          {{"", draw(chart), series_table(chart)}},
          [table](TableFile& file) { file.add(table); }};
}

}  // namespace

Section overlap_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Section section{"overlap", "From token to token", {}, "", {}};
  if (statistics.overlap.pairs() == 0) {
    section.paragraphs = {"No text of the trace has two tokens, so no token has a next one."};
    return section;
  }
  const Table table = overlap_table(statistics);
  LineChart chart;
  chart.label = "Line chart of the experts that the next token uses again, by layer";
  chart.description = "Share of a token's experts that the next token chooses too.";
  chart.x_title = "layer";
  chart.y_title = "share of experts";
  chart.x_labels = layer_labels(statistics.geometry);
  chart.series = {{"used again by the next token", {}},
                  {"expected from usage alone", {}, true},
                  {"expected by chance (k/E)", {}, true}};
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t i = 0; i < 3; ++i) chart.series[i].values.push_back(std::get<double>(row[i + 2]));
  }
  Figure figure{"next-token-overlap",
                "Experts that the next token uses again",
                "Share of the k experts of a token that the next token chooses too. What lies "
                "above the dashed lines is what a cache of the last token's experts gains.",
                "",
                {{"", draw(chart), table}},
                [table](TableFile& file) { file.add(table); }};
  section.figures.push_back(std::move(figure));
  section.figures.push_back(distance_figure(statistics));
  return section;
}

}  // namespace foregate::report
