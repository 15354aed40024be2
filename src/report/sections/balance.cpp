#include <fmt/format.h>

#include <algorithm>

#include "report/charts/bar_chart.h"
#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "stats/balance.h"

namespace foregate::report {
namespace {

/// Times even use below which an expert is cold, above which it is hot.
constexpr double kCold = 0.25;
constexpr double kHot = 2;
constexpr size_t kExtremes = 15;

/// Experts of a layer whose use relative to even use is above `low` and at most `high`.
int64_t experts_between(const stats::RoutingStatistics& statistics, int layer, double low,
                        double high) {
  int64_t found = 0;
  for (int expert = 0; expert < statistics.geometry.num_experts; ++expert) {
    const double ratio = statistics.usage.share(layer, expert) * statistics.geometry.num_experts;
    found += ratio > low && ratio <= high ? 1 : 0;
  }
  return found;
}

Table balance_table(const stats::RoutingStatistics& statistics) {
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"normalised_entropy"},
               {"busiest_expert_share", Unit::kPercent},
               {"coefficient_of_variation"},
               {"gini"},
               {"never_chosen"},
               {"cold"},
               {"hot"}},
              {}};
  const trace::Geometry& geometry = statistics.geometry;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const auto counts = statistics.usage.layer(layer);
    table.rows.push_back(
        {int64_t{layer}, decoder_layer(geometry, layer), stats::normalized_entropy(counts),
         stats::busiest_share(counts), stats::coefficient_of_variation(counts), stats::gini(counts),
         experts_between(statistics, layer, -1, 0), experts_between(statistics, layer, 0, kCold),
         experts_between(statistics, layer, kHot, geometry.num_experts)});
  }
  return table;
}

Figure entropy_figure(const stats::RoutingStatistics& statistics, const Table& table) {
  LineChart chart;
  chart.label = "Line chart of normalised entropy by layer";
  chart.description = "How evenly each layer's experts are used; 1 is perfectly even.";
  chart.x_title = "layer";
  chart.y_title = "entropy / log E";
  chart.x_labels = layer_labels(statistics.geometry);
  chart.series = {{"normalised entropy", numbers_of(table, 2)}};
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

Figure busiest_figure(const stats::RoutingStatistics& statistics, const Table& table) {
  const trace::Geometry& geometry = statistics.geometry;
  const auto layers = static_cast<size_t>(geometry.num_moe_layers);
  LineChart chart;
  chart.label = "Line chart of the busiest expert's share by layer";
  chart.description = "Share of each layer's choices that its most used expert takes.";
  chart.x_title = "layer";
  chart.y_title = "share of choices";
  chart.x_labels = layer_labels(geometry);
  chart.series = {{"busiest expert", numbers_of(table, 3)},
                  {"even use", std::vector<double>(layers, 1.0 / geometry.num_experts), true}};
  return {"busiest-expert",
          "The busiest expert's share by layer",
          "How much of a layer's choices its most used expert takes, beside the share that even "
          "use would give it (dashed). No expert can take more than 1/k.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

Figure inequality_figure(const stats::RoutingStatistics& statistics, const Table& table) {
  LineChart chart;
  chart.label = "Line chart of Gini coefficient and coefficient of variation by layer";
  chart.description = "Two measures of how unequally a layer's experts are used; 0 is equal.";
  chart.x_title = "layer";
  chart.y_title = "inequality";
  chart.x_labels = layer_labels(statistics.geometry);
  chart.series = {{"Gini coefficient", numbers_of(table, 5)},
                  {"coefficient of variation", numbers_of(table, 4)}};
  chart.unit = Unit::kNumber;
  return {"inequality",
          "Inequality by layer",
          "Gini coefficient: 0 if a layer's experts are used equally, near 1 if one takes "
          "everything. Coefficient of variation: standard deviation of the experts' loads divided "
          "by their mean.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

/// Every layer's Lorenz curve, in layer order.
Table lorenz_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{{{"moe_layer"}, {"decoder_layer"}, {"least_used_experts"}, {"share_of_choices"}}, {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const std::vector<double> curve = stats::lorenz_curve(statistics.usage.layer(layer));
    for (size_t i = 0; i < curve.size(); ++i) {
      table.rows.push_back(
          {int64_t{layer}, decoder_layer(geometry, layer), static_cast<int64_t>(i), curve[i]});
    }
  }
  return table;
}

Figure lorenz_figure(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  std::vector<std::vector<double>> curves;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer)
    curves.push_back(stats::lorenz_curve(statistics.usage.layer(layer)));
  const auto points = static_cast<size_t>(geometry.num_experts) + 1;
  LineChart chart;
  chart.label = "Lorenz curves of expert usage";
  chart.description = "Share of all choices that the least used experts take together.";
  chart.x_title = "least used experts";
  chart.y_title = "share of choices";
  chart.x_labels = index_labels(geometry.num_experts + 1);
  chart.series = layer_lines(geometry, points, [&](int layer, size_t point) {
    return curves[static_cast<size_t>(layer)][point];
  });
  if (chart.series.size() == 3) {
    // The highest curve is the most even layer's.
    chart.series[1].name.replace(chart.series[1].name.find("highest"), 7, "most even");
    chart.series[2].name.replace(chart.series[2].name.find("lowest"), 6, "least even");
  }
  Series even{"even use", {}, true};
  for (size_t i = 0; i < points; ++i)
    even.values.push_back(static_cast<double>(i) / geometry.num_experts);
  chart.series.push_back(std::move(even));
  return {"lorenz",
          "Lorenz curve",
          "Experts of a layer from the least to the most used, and the share of the layer's "
          "choices that they take together. The farther a curve hangs below the dashed line, the "
          "more unequal; the Gini coefficient is twice the area between them, up to the width of "
          "a step.",
          "",
          {{"", draw(chart), series_table(chart)}},
          [&statistics](TableFile& file) { file.add(lorenz_table(statistics)); }};
}

struct Load {
  int layer;
  int expert;
  double ratio;
};

/// All experts of all layers, the busiest first.
std::vector<Load> by_load(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  std::vector<Load> loads;
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int expert = 0; expert < geometry.num_experts; ++expert) {
      loads.push_back(
          {layer, expert, statistics.usage.share(layer, expert) * geometry.num_experts});
    }
  }
  std::stable_sort(loads.begin(), loads.end(),
                   [](const Load& a, const Load& b) { return a.ratio > b.ratio; });
  return loads;
}

Panel extremes_panel(const stats::RoutingStatistics& statistics, const std::string& name,
                     const std::vector<Load>& loads) {
  BarChart chart;
  chart.label = "Bar chart of the " + name;
  chart.description = "Share of choices relative to even use.";
  chart.x_title = "share of choices relative to even use";
  chart.unit = Unit::kRatio;
  Table table{{{"layer"}, {"expert"}, {"decisions"}, {"relative to even use", Unit::kRatio}}, {}};
  for (const Load& load : loads) {
    const int64_t layer = decoder_layer(statistics.geometry, load.layer);
    chart.bars.push_back(
        {fmt::format("layer {}, expert {}", layer, load.expert), load.ratio, 0, 0, ""});
    table.rows.push_back(
        {layer, int64_t{load.expert}, statistics.usage.count(load.layer, load.expert), load.ratio});
  }
  return {name, draw(chart), std::move(table)};
}

Figure extremes_figure(const stats::RoutingStatistics& statistics, const Table& balance) {
  const std::vector<Load> loads = by_load(statistics);
  const auto count = static_cast<std::ptrdiff_t>(std::min(kExtremes, loads.size()));
  int64_t never = 0;
  int64_t cold = 0;
  int64_t hot = 0;
  for (const std::vector<Cell>& row : balance.rows) {
    never += std::get<int64_t>(row[6]);
    cold += std::get<int64_t>(row[7]);
    hot += std::get<int64_t>(row[8]);
  }
  Figure figure;
  figure.id = "extreme-experts";
  figure.title = "Dead, cold and hot experts";
  figure.reading = fmt::format(
      "Of {} experts in all layers, {} were never chosen, {} more are cold (less than a quarter of "
      "even use), {} are hot (more than twice even use). The bars show the most extreme; dead "
      "experts are capacity the model does not use here, hot ones are worth keeping in memory.",
      loads.size(), never, cold, hot);
  figure.choice = "Show";
  figure.panels.push_back(
      extremes_panel(statistics, "hottest experts", {loads.begin(), loads.begin() + count}));
  figure.panels.push_back(
      extremes_panel(statistics, "coldest experts", {loads.rbegin(), loads.rbegin() + count}));
  figure.data = [balance](TableFile& file) { file.add(balance); };
  return figure;
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
  section.figures.push_back(inequality_figure(input.statistics, table));
  section.figures.push_back(lorenz_figure(input.statistics));
  section.figures.push_back(extremes_figure(input.statistics, table));
  return section;
}

}  // namespace foregate::report
