#include <fmt/format.h>

#include <algorithm>

#include "report/bar_chart.h"
#include "report/heat_map.h"
#include "report/layers.h"
#include "report/line_chart.h"
#include "report/sections.h"

namespace foregate {
namespace {

constexpr size_t kMaxLines = 8;
constexpr size_t kMaxRows = 40;
constexpr size_t kCellBudget = 9000;  // Cells of all maps together.

double ratio_to_overall(const RoutingStatistics& statistics, size_t dataset, int layer,
                        int expert) {
  const double overall = statistics.usage.share(layer, expert);
  return statistics.datasets[dataset].usage.share(layer, expert) / overall;
}

Figure tokens_figure(const RoutingStatistics& statistics) {
  Table table{{{"dataset"}, {"traces"}, {"tokens"}, {"share_of_tokens", Unit::kPercent}}, {}};
  BarChart chart;
  chart.label = "Bar chart of each dataset's share of the tokens";
  chart.description = "How much of the trace each dataset makes up.";
  chart.x_title = "share of tokens";
  for (const DatasetUsage& dataset : statistics.datasets) {
    const double share = static_cast<double>(dataset.usage.tokens()) /
                         static_cast<double>(statistics.usage.tokens());
    table.rows.push_back({dataset.name, dataset.traces, dataset.usage.tokens(), share});
    if (chart.bars.size() == kMaxRows) continue;
    chart.bars.push_back(
        {dataset.name, share, 0, 0,
         counted(dataset.usage.tokens(), "token") + ", " + counted(dataset.traces, "trace")});
  }
  return {"datasets",
          "What the trace is made of",
          "Each dataset's share of all tokens. Datasets with longer texts weigh more in every "
          "overall number of this page.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

Table divergence_table(const RoutingStatistics& statistics) {
  const Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"}, {"decoder_layer"}, {"dataset"}, {"divergence_bits", Unit::kBits}},
              {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (size_t i = 0; i < statistics.datasets.size(); ++i) {
      table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer),
                            statistics.datasets[i].name, statistics.divergence(i, layer)});
    }
  }
  return table;
}

Figure divergence_figure(const RoutingStatistics& statistics) {
  LineChart chart;
  chart.label = "Line chart of each dataset's divergence from the overall usage, by layer";
  chart.description = "Jensen-Shannon divergence in bits; 0 means the same usage.";
  chart.x_title = "layer";
  chart.y_title = "divergence (bits)";
  chart.x_labels = layer_labels(statistics.geometry);
  chart.unit = Unit::kBits;
  for (size_t i = 0; i < std::min(kMaxLines, statistics.datasets.size()); ++i) {
    Series series{statistics.datasets[i].name, {}};
    for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer)
      series.values.push_back(statistics.divergence(i, layer));
    chart.series.push_back(std::move(series));
  }
  Figure figure{"dataset-divergence",
                "How far each dataset is from the whole",
                "Jensen-Shannon divergence between a dataset's use of a layer's experts and the "
                "use over all datasets: 0 bits is the same, 1 bit has no expert in common. High "
                "layers tell the datasets apart.",
                "",
                {{"", draw(chart), divergence_table(statistics)}},
                [&statistics](TableFile& file) { file.add(divergence_table(statistics)); }};
  if (statistics.datasets.size() > kMaxLines)
    figure.reading += fmt::format(" The first {} datasets are drawn.", kMaxLines);
  return figure;
}

Table all_ratios(const RoutingStatistics& statistics) {
  const Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"dataset"},
               {"expert"},
               {"decisions"},
               {"share"},
               {"ratio_to_overall"}},
              {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (size_t i = 0; i < statistics.datasets.size(); ++i) {
      const DatasetUsage& dataset = statistics.datasets[i];
      for (int expert = 0; expert < geometry.num_experts; ++expert) {
        table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer), dataset.name,
                              int64_t{expert}, dataset.usage.count(layer, expert),
                              dataset.usage.share(layer, expert),
                              ratio_to_overall(statistics, i, layer, expert)});
      }
    }
  }
  return table;
}

Panel ratio_panel(const RoutingStatistics& statistics, int layer) {
  const Geometry& geometry = statistics.geometry;
  HeatMap map;
  const std::string name = fmt::format("layer {}", decoder_layer(geometry, layer));
  map.label = "Heat map of expert usage by dataset, " + name;
  map.description = "Each dataset's use of each expert relative to its use over all datasets.";
  map.row_title = "dataset";
  map.column_title = "expert";
  map.value_title = "use in the dataset relative to its use overall (1× = the same)";
  map.column_labels = index_labels(geometry.num_experts);
  map.scale = ratio_scale();
  map.unit = Unit::kRatio;
  map.titles = false;
  Table table{{{"dataset"}}, {}};
  for (const std::string& expert : map.column_labels)
    table.columns.push_back({"e" + expert, Unit::kRatio});
  for (size_t i = 0; i < std::min(kMaxRows, statistics.datasets.size()); ++i) {
    map.row_labels.push_back(statistics.datasets[i].name);
    table.rows.push_back({statistics.datasets[i].name});
    for (int expert = 0; expert < geometry.num_experts; ++expert) {
      map.values.push_back(ratio_to_overall(statistics, i, layer, expert));
      table.rows.back().emplace_back(map.values.back());
    }
  }
  return {name, draw(map), std::move(table)};
}

Figure ratio_figure(const RoutingStatistics& statistics) {
  Figure figure;
  figure.id = "dataset-usage";
  figure.title = "Which experts a dataset favours";
  figure.reading =
      "Each row is a dataset, each column an expert of the chosen layer. Orange experts are used "
      "more by this dataset than by the whole trace, blue ones less.";
  figure.choice = "Show";
  const size_t cells = std::min(kMaxRows, statistics.datasets.size()) *
                       static_cast<size_t>(statistics.geometry.num_experts);
  const auto layers = static_cast<size_t>(statistics.geometry.num_moe_layers);
  const std::vector<size_t> shown = spread(layers, kCellBudget / cells);
  for (const size_t layer : shown)
    figure.panels.push_back(ratio_panel(statistics, static_cast<int>(layer)));
  if (shown.size() < layers) {
    figure.reading +=
        fmt::format(" Shown are {} of {} layers; --tables writes all.", shown.size(), layers);
  }
  figure.data = [&statistics](TableFile& file) { file.add(all_ratios(statistics)); };
  return figure;
}

}  // namespace

Section datasets_section(const ReportInput& input) {
  const RoutingStatistics& statistics = input.statistics;
  Section section{"datasets", "Datasets", {}, "", {}};
  if (statistics.usage.tokens() == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  section.figures.push_back(tokens_figure(statistics));
  if (statistics.datasets.size() < 2) {
    section.paragraphs = {"All traces come from one dataset, so there is nothing to compare."};
    return section;
  }
  section.figures.push_back(divergence_figure(statistics));
  section.figures.push_back(ratio_figure(statistics));
  return section;
}

}  // namespace foregate
