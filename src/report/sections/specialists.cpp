#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/charts/bar_chart.h"
#include "report/charts/heat_map.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "stats/log_odds.h"

namespace foregate::report {
namespace {

constexpr size_t kMaxSpecialistRows = 40;
constexpr size_t kSpecialistCells = 3000;  // Cells of all maps together.
constexpr size_t kStrongest = 20;
constexpr double kRate = 0.05;  // of false discoveries

/// Every dataset against all others, [datasets][L][E].
struct Contrasts {
  std::vector<stats::LogOdds> odds;
  std::vector<double> rates;
  size_t layers = 0;
  size_t experts = 0;

  size_t index(size_t dataset, size_t layer, size_t expert) const {
    return (dataset * layers + layer) * experts + expert;
  }
  bool significant(size_t i) const { return rates[i] < kRate; }
};

Contrasts contrasts_of(const stats::RoutingStatistics& statistics) {
  Contrasts contrasts;
  contrasts.layers = static_cast<size_t>(statistics.geometry.num_moe_layers);
  contrasts.experts = static_cast<size_t>(statistics.geometry.num_experts);
  std::vector<double> p;
  for (const stats::DatasetUsage& dataset : statistics.datasets) {
    const stats::ClusteredUsage rest = statistics.clustered.without(dataset.clustered);
    for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer) {
      for (int expert = 0; expert < statistics.geometry.num_experts; ++expert) {
        contrasts.odds.push_back(stats::log_odds_ratio(dataset.clustered.share(layer, expert),
                                                       rest.share(layer, expert)));
        p.push_back(contrasts.odds.back().p);
      }
    }
  }
  contrasts.rates = stats::false_discovery_rates(p);
  return contrasts;
}

void write_contrasts(const stats::RoutingStatistics& statistics, const Contrasts& contrasts,
                     TableFile& file) {
  file.columns({{"moe_layer"},
                {"decoder_layer"},
                {"dataset"},
                {"expert"},
                {"decisions"},
                {"share"},
                {"log_odds"},
                {"standard_error"},
                {"z"},
                {"p"},
                {"q"}});
  for (size_t i = 0; i < statistics.datasets.size(); ++i) {
    const stats::DatasetUsage& dataset = statistics.datasets[i];
    for (size_t layer = 0; layer < contrasts.layers; ++layer) {
      for (size_t expert = 0; expert < contrasts.experts; ++expert) {
        const auto l = static_cast<int>(layer);
        const auto e = static_cast<int>(expert);
        const size_t at = contrasts.index(i, layer, expert);
        const stats::LogOdds& odds = contrasts.odds[at];
        file.row({int64_t{l}, decoder_layer(statistics.geometry, l), dataset.name, int64_t{e},
                  dataset.usage.count(l, e), dataset.usage.share(l, e), odds.value, odds.error,
                  odds.z, odds.p, contrasts.rates[at]});
      }
    }
  }
}

/// Combinations that are chosen significantly more, the largest odds first.
std::vector<size_t> specialists(const Contrasts& contrasts) {
  std::vector<size_t> order;
  for (size_t i = 0; i < contrasts.odds.size(); ++i) {
    if (contrasts.significant(i) && contrasts.odds[i].value > 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return contrasts.odds[a].value > contrasts.odds[b].value;
  });
  return order;
}

Figure strongest_figure(const stats::RoutingStatistics& statistics, const Contrasts& contrasts,
                        std::vector<size_t> order) {
  const auto significant = std::count_if(contrasts.rates.begin(), contrasts.rates.end(),
                                         [](double rate) { return rate < kRate; });
  order.resize(std::min(kStrongest, order.size()));
  BarChart chart;
  chart.label = "Bar chart of the strongest specialists";
  chart.description = "Odds of choosing the expert in the dataset, over those in the others.";
  chart.x_title = "odds ratio, with 95% interval";
  chart.unit = Unit::kRatio;
  Table table{{{"dataset"},
               {"layer"},
               {"expert"},
               {"odds ratio", Unit::kRatio},
               {"low", Unit::kRatio},
               {"high", Unit::kRatio},
               {"q"}},
              {}};
  for (const size_t i : order) {
    const stats::LogOdds& odds = contrasts.odds[i];
    const std::string& name = statistics.datasets[i / contrasts.experts / contrasts.layers].name;
    const int64_t layer = decoder_layer(statistics.geometry,
                                        static_cast<int>(i / contrasts.experts % contrasts.layers));
    const auto expert = static_cast<int64_t>(i % contrasts.experts);
    const double low = std::exp(odds.value - 1.96 * odds.error);
    const double high = std::exp(odds.value + 1.96 * odds.error);
    chart.bars.push_back({fmt::format("{}: layer {}, expert {}", shorten(name, 14), layer, expert),
                          std::exp(odds.value), low, high, ""});
    table.rows.push_back(
        {name, layer, expert, std::exp(odds.value), low, high, contrasts.rates[i]});
  }
  Figure figure;
  figure.id = "dataset-specialists";
  figure.title = "The strongest specialists";
  figure.reading = fmt::format(
      "Experts with the largest odds of being chosen in one dataset compared with all others. {} "
      "of {} combinations of dataset and expert differ significantly (false discovery rate 5%, "
      "errors by texts, since the tokens of a text are not independent).",
      significant, contrasts.odds.size());
  figure.panels.push_back({"", draw(chart), table});
  figure.data = [table](TableFile& file) { file.add(table); };
  return figure;
}

Panel map_panel(const stats::RoutingStatistics& statistics, const Contrasts& contrasts,
                size_t layer) {
  const trace::Geometry& geometry = statistics.geometry;
  const std::string name =
      fmt::format("layer {}", decoder_layer(geometry, static_cast<int>(layer)));
  HeatMap map;
  map.label = "Heat map of expert usage by dataset, " + name;
  map.description = "Odds of each expert in each dataset, over those in all other datasets.";
  map.row_title = "dataset";
  map.column_title = "expert";
  map.value_title = "odds ratio against the other datasets; only what is significant";
  map.column_labels = index_labels(geometry.num_experts);
  map.scale = ratio_scale();
  map.unit = Unit::kRatio;
  map.hole = "no significant difference";
  map.titles = false;
  Table table{{{"dataset"}}, {}};
  for (const std::string& expert : map.column_labels)
    table.columns.push_back({"e" + expert, Unit::kRatio});
  for (size_t i = 0; i < std::min(kMaxSpecialistRows, statistics.datasets.size()); ++i) {
    map.row_labels.push_back(statistics.datasets[i].name);
    table.rows.push_back({statistics.datasets[i].name});
    for (size_t expert = 0; expert < contrasts.experts; ++expert) {
      const size_t at = contrasts.index(i, layer, expert);
      const double ratio = std::exp(contrasts.odds[at].value);
      map.values.push_back(contrasts.significant(at) ? ratio : std::nan(""));
      table.rows.back().emplace_back(ratio);
    }
  }
  return {name, draw(map), std::move(table)};
}

Figure specialists_figure(const stats::RoutingStatistics& statistics, const Contrasts& contrasts) {
  Figure figure;
  figure.id = "dataset-usage";
  figure.title = "Which experts a dataset favours";
  figure.reading =
      "Each row is a dataset, each column an expert of the chosen layer. Orange experts are chosen "
      "more by this dataset than by the others, blue ones less; where the difference is not "
      "significant the cell is blank. The table has all ratios.";
  figure.choice = "Show";
  const size_t rows = std::min(kMaxSpecialistRows, statistics.datasets.size());
  const std::vector<size_t> shown =
      spread(contrasts.layers, kSpecialistCells / (rows * contrasts.experts));
  for (const size_t layer : shown) figure.panels.push_back(map_panel(statistics, contrasts, layer));
  if (shown.size() < contrasts.layers) {
    figure.reading += fmt::format(" Shown are {} of {} layers; --tables writes all.", shown.size(),
                                  contrasts.layers);
  }
  figure.data = [&statistics, contrasts](TableFile& file) {
    write_contrasts(statistics, contrasts, file);
  };
  return figure;
}

}  // namespace

Section specialists_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Section section{"specialists", "Specialisation", {}, "", {}};
  if (statistics.usage.tokens() == 0 || statistics.geometry.num_moe_layers == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  if (statistics.datasets.size() < 2) {
    section.paragraphs = {"All traces come from one dataset, so there is nothing to compare."};
    return section;
  }
  const Contrasts contrasts = contrasts_of(statistics);
  const std::vector<size_t> order = specialists(contrasts);
  if (order.empty()) {
    section.paragraphs = {
        "No expert is chosen significantly more by one dataset than by the others."};
  } else {
    section.figures.push_back(strongest_figure(statistics, contrasts, order));
  }
  section.figures.push_back(specialists_figure(statistics, contrasts));
  return section;
}

}  // namespace foregate::report
