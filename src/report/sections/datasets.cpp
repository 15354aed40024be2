#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/number_text.h"
#include "report/charts/bar_chart.h"
#include "report/charts/heat_map.h"
#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

constexpr size_t kMaxLines = 8;
constexpr size_t kMaxDatasetRows = 40;
constexpr size_t kDatasetCells = 450;  // Cells of all maps together.

Figure tokens_figure(const stats::RoutingStatistics& statistics) {
  Table table{{{"dataset"}, {"traces"}, {"tokens"}, {"share_of_tokens", Unit::kPercent}}, {}};
  BarChart chart;
  chart.label = "Bar chart of each dataset's share of the tokens";
  chart.description = "How much of the trace each dataset makes up.";
  chart.x_title = "share of tokens";
  for (const stats::DatasetUsage& dataset : statistics.datasets) {
    const double share = static_cast<double>(dataset.usage.tokens()) /
                         static_cast<double>(statistics.usage.tokens());
    table.rows.push_back({dataset.name, dataset.traces, dataset.usage.tokens(), share});
    if (chart.bars.size() == kMaxDatasetRows) continue;
    chart.bars.push_back(
        {dataset.name, share, 0, 0,
         number_of(dataset.usage.tokens(), "token") + ", " + number_of(dataset.traces, "trace")});
  }
  return {"datasets",
          "What the trace is made of",
          "Each dataset's share of all tokens. Datasets with longer texts weigh more in every "
          "overall number of this page.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

Table divergence_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
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

Figure divergence_figure(const stats::RoutingStatistics& statistics) {
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

Table pairwise_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"}, {"decoder_layer"}, {"dataset_a"}, {"dataset_b"}, {"divergence_bits"}},
              {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (size_t a = 0; a < statistics.datasets.size(); ++a) {
      for (size_t b = a + 1; b < statistics.datasets.size(); ++b) {
        table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer),
                              statistics.datasets[a].name, statistics.datasets[b].name,
                              statistics.divergence(a, b, layer)});
      }
    }
  }
  return table;
}

/// Divergence of all pairs of the first kMaxDatasetRows datasets at a layer, or the mean of all
/// layers.
Panel pairwise_panel(const stats::RoutingStatistics& statistics, const std::string& name, int layer,
                     const ColorScale& scale) {
  HeatMap map;
  map.label = "Heat map of the divergence between datasets, " + name;
  map.description = "Jensen-Shannon divergence in bits between the usages of two datasets.";
  map.row_title = "dataset";
  map.column_title = "dataset";
  map.value_title = "divergence (bits)";
  map.unit = Unit::kBits;
  map.hole = "the dataset itself";
  map.scale = scale;
  map.titles = false;
  const size_t shown = std::min(kMaxDatasetRows, statistics.datasets.size());
  Table table{{{"dataset"}}, {}};
  for (size_t a = 0; a < shown; ++a) {
    map.row_labels.push_back(statistics.datasets[a].name);
    map.column_labels.push_back(shorten(statistics.datasets[a].name, 14));
    table.columns.push_back({statistics.datasets[a].name, Unit::kBits});
    table.rows.push_back({statistics.datasets[a].name});
    for (size_t b = 0; b < shown; ++b) {
      const auto at = [&](int l) { return statistics.divergence(a, b, l); };
      map.values.push_back(a == b       ? std::numeric_limits<double>::quiet_NaN()
                           : layer >= 0 ? at(layer)
                                        : layer_mean(statistics.geometry, at));
      table.rows.back().emplace_back(map.values.back());
    }
  }
  return {name, draw(map), std::move(table)};
}

double largest_divergence(const stats::RoutingStatistics& statistics, size_t shown) {
  double largest = 0;
  for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer) {
    for (size_t a = 0; a < shown; ++a) {
      for (size_t b = 0; b < a; ++b) {
        const double bits = statistics.divergence(a, b, layer);
        if (bits > largest) largest = bits;
      }
    }
  }
  return largest;
}

Figure pairwise_figure(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Figure figure;
  figure.id = "dataset-pairs";
  figure.title = "How far the datasets are from each other";
  figure.reading =
      "Jensen-Shannon divergence between two datasets' use of the experts: 0 bits is the same, 1 "
      "bit has no expert in common. Pairs of weak colour share their experts, and a predictor "
      "fitted on one serves the other.";
  figure.choice = "Show";
  const size_t rows = std::min(kMaxDatasetRows, statistics.datasets.size());
  const ColorScale scale = sequential_scale(largest_divergence(statistics, rows));
  figure.panels.push_back(pairwise_panel(statistics, "mean of all layers", -1, scale));
  const auto layers = static_cast<size_t>(geometry.num_moe_layers);
  for (const size_t layer : spread(layers, kDatasetCells / (rows * rows))) {
    const auto index = static_cast<int>(layer);
    figure.panels.push_back(pairwise_panel(
        statistics, fmt::format("layer {}", decoder_layer(geometry, index)), index, scale));
  }
  figure.data = [&statistics](TableFile& file) { file.add(pairwise_table(statistics)); };
  return figure;
}

}  // namespace

Section datasets_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
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
  section.figures.push_back(pairwise_figure(statistics));
  return section;
}

}  // namespace foregate::report
