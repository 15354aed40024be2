#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/number_text.h"
#include "report/charts/heat_map.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "stats/clustering.h"

namespace foregate::report {
namespace {

constexpr size_t kCoactivationCells = 18000;  // Cells of all maps together.
constexpr size_t kStrongestPairs = 20;

/// Experts so that those chosen together are neighbours: average linkage on 1 - correlation.
std::vector<int> clustered(const stats::RoutingStatistics& statistics, int layer) {
  const int experts = statistics.geometry.num_experts;
  std::vector<double> distances;
  for (int a = 0; a < experts; ++a) {
    for (int b = 0; b < experts; ++b)
      distances.push_back(a == b ? 0 : 1 - statistics.coactivation.correlation(layer, a, b));
  }
  return stats::leaf_order(stats::average_linkage(std::move(distances), experts), experts);
}

void write_pairs(const stats::RoutingStatistics& statistics, TableFile& file) {
  const stats::Coactivation& together = statistics.coactivation;
  const int experts = statistics.geometry.num_experts;
  file.columns({{"moe_layer"}, {"expert_a"}, {"expert_b"}, {"tokens"}, {"lift"}, {"correlation"}});
  for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer) {
    for (int a = 0; a < experts; ++a) {
      for (int b = a + 1; b < experts; ++b) {
        file.row({int64_t{layer}, int64_t{a}, int64_t{b}, together.count(layer, a, b),
                  together.lift(layer, a, b), together.correlation(layer, a, b)});
      }
    }
  }
}

Table strongest_pairs_table(const stats::RoutingStatistics& statistics, int layer) {
  const stats::Coactivation& together = statistics.coactivation;
  const int experts = statistics.geometry.num_experts;
  std::vector<std::pair<double, std::pair<int, int>>> order;
  for (int a = 0; a < experts; ++a) {
    for (int b = a + 1; b < experts; ++b)
      order.push_back({-together.correlation(layer, a, b), {a, b}});
  }
  std::sort(order.begin(), order.end());
  Table table{{{"expert"}, {"with"}, {"tokens"}, {"lift", Unit::kRatio}, {"correlation"}}, {}};
  for (size_t i = 0; i < std::min(kStrongestPairs, order.size()); ++i) {
    const auto [a, b] = order[i].second;
    table.rows.push_back({int64_t{a}, int64_t{b}, together.count(layer, a, b),
                          together.lift(layer, a, b), -order[i].first});
  }
  return table;
}

Panel coactivation_panel(const stats::RoutingStatistics& statistics, int layer) {
  const std::string name = fmt::format("layer {}", decoder_layer(statistics.geometry, layer));
  const std::vector<int> order = clustered(statistics, layer);
  HeatMap map;
  map.label = "Heat map of experts chosen together, " + name;
  map.description =
      "How much more often than independently two experts are chosen by the same token; experts "
      "in clustered order.";
  map.row_title = "expert (clustered)";
  map.column_title = "expert (clustered)";
  map.value_title = "chosen together relative to independence (1× = independent)";
  map.scale = ratio_scale();
  map.unit = Unit::kRatio;
  map.hole = "the expert itself, or one never used";
  map.square = true;
  map.titles = false;
  for (const int a : order) {
    map.row_labels.push_back(std::to_string(a));
    for (const int b : order)
      map.values.push_back(a == b ? std::numeric_limits<double>::quiet_NaN()
                                  : statistics.coactivation.lift(layer, a, b));
  }
  map.column_labels = map.row_labels;
  return {name, draw(map), strongest_pairs_table(statistics, layer)};
}

std::string missing_pairs(const stats::RoutingStatistics& statistics) {
  if (statistics.usage.tokens() == 0 || statistics.geometry.num_moe_layers == 0) return kNoTokens;
  if (statistics.geometry.top_k < 2)
    return "Every token chooses one expert a layer, so no two are chosen together.";
  if (!statistics.coactivation.counted())
    return fmt::format("Pairs are not counted for more than {} experts a layer.",
                       stats::Coactivation::kMaxExperts);
  return {};
}

}  // namespace

Section coactivation_section(const ReportInput& input, const Detail& detail) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Section section{"coactivation", "Chosen together", {}, "", {}};
  if (const std::string reason = missing_pairs(statistics); !reason.empty()) {
    section.paragraphs = {reason};
    return section;
  }
  const auto experts = static_cast<size_t>(statistics.geometry.num_experts);
  const auto layers = static_cast<size_t>(statistics.geometry.num_moe_layers);
  const double even = static_cast<double>(statistics.geometry.num_experts) *
                      (statistics.geometry.top_k - 1) /
                      (static_cast<double>(statistics.geometry.top_k) *
                       std::max(1, statistics.geometry.num_experts - 1));
  Figure figure;
  figure.id = "coactivation";
  figure.title = "Experts chosen together";
  figure.reading = fmt::format(
      "A cell compares how often a token chooses both experts with what it would be if they were "
      "chosen independently. Since a token has {} places only, {:.2f}× is the middle. Experts are "
      "ordered by average-linkage clustering of their correlation: orange blocks on the diagonal "
      "are teams, blue ones rivals.",
      statistics.geometry.top_k, even);
  figure.choice = "Show";
  const std::vector<size_t> shown =
      spread(layers, detail.of(kCoactivationCells) / (experts * experts));
  for (const size_t layer : shown)
    figure.panels.push_back(coactivation_panel(statistics, static_cast<int>(layer)));
  if (shown.size() < layers) {
    figure.reading +=
        fmt::format(" Shown are {} of {} layers; --tables writes all.", shown.size(), layers);
  }
  figure.data = [&statistics](TableFile& file) { write_pairs(statistics, file); };
  section.figures.push_back(std::move(figure));
  return section;
}

}  // namespace foregate::report
