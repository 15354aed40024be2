#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/charts/heat_map.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

constexpr size_t kTransitionCells = 48000;  // Cells of all maps together.
constexpr size_t kStrongestTransitions = 20;

std::string pair_name(const trace::Geometry& geometry, int pair) {
  return fmt::format("layer {} → {}", decoder_layer(geometry, pair),
                     decoder_layer(geometry, pair + 1));
}

void write_transitions(const stats::RoutingStatistics& statistics, TableFile& file) {
  const stats::TransitionCounts& transitions = statistics.transitions;
  const int experts = statistics.geometry.num_experts;
  file.columns({{"moe_layer"}, {"from"}, {"to"}, {"tokens"}, {"probability"}, {"lift"}});
  for (int pair = 0; pair < transitions.num_pairs(); ++pair) {
    for (int from = 0; from < experts; ++from) {
      for (int to = 0; to < experts; ++to) {
        if (transitions.count(pair, from, to) == 0) continue;
        file.row({int64_t{pair}, int64_t{from}, int64_t{to}, transitions.count(pair, from, to),
                  transitions.probability(pair, from, to), transitions.lift(pair, from, to)});
      }
    }
  }
}

Table strongest_table(const stats::TransitionCounts& transitions, int pair, int experts) {
  std::vector<std::pair<int64_t, int>> order;
  for (int cell = 0; cell < experts * experts; ++cell)
    order.emplace_back(-transitions.count(pair, cell / experts, cell % experts), cell);
  const auto middle =
      order.begin() + static_cast<std::ptrdiff_t>(std::min(kStrongestTransitions, order.size()));
  std::partial_sort(order.begin(), middle, order.end());
  Table table{{{"expert"},
               {"next layer's expert"},
               {"tokens"},
               {"P(next | expert)", Unit::kPercent},
               {"lift", Unit::kRatio}},
              {}};
  for (auto it = order.begin(); it != middle && it->first < 0; ++it) {
    const int from = it->second / experts;
    const int to = it->second % experts;
    table.rows.push_back({int64_t{from}, int64_t{to}, -it->first,
                          transitions.probability(pair, from, to),
                          transitions.lift(pair, from, to)});
  }
  return table;
}

HeatMap transition_map(const stats::RoutingStatistics& statistics, int pair,
                       const ColorScale& scale) {
  const stats::TransitionCounts& transitions = statistics.transitions;
  const int experts = statistics.geometry.num_experts;
  HeatMap map;
  map.label = "Heat map of expert transitions, " + pair_name(statistics.geometry, pair);
  map.description =
      "Row: an expert of the first layer. Column: an expert of the next MoE layer. Cell: the "
      "probability of the second given the first.";
  map.row_title = fmt::format("expert of layer {}", decoder_layer(statistics.geometry, pair));
  map.column_title =
      fmt::format("expert of layer {}", decoder_layer(statistics.geometry, pair + 1));
  map.value_title = "probability of the column's expert given the row's";
  map.row_labels = index_labels(experts);
  map.column_labels = map.row_labels;
  map.scale = scale;
  map.square = true;
  map.titles = false;
  for (int to = 0; to < experts; ++to)
    map.column_base.push_back(static_cast<double>(transitions.to_count(pair, to)) /
                              static_cast<double>(statistics.usage.tokens()));
  for (int from = 0; from < experts; ++from) {
    for (int to = 0; to < experts; ++to)
      map.values.push_back(transitions.probability(pair, from, to));
  }
  return map;
}

/// One scale for all maps; its top is where only a thousandth of the cells lies above.
ColorScale common_scale(const stats::RoutingStatistics& statistics) {
  const stats::TransitionCounts& transitions = statistics.transitions;
  const int experts = statistics.geometry.num_experts;
  std::vector<double> values;
  for (int pair = 0; pair < transitions.num_pairs(); ++pair) {
    for (int cell = 0; cell < experts * experts; ++cell) {
      const double value = transitions.probability(pair, cell / experts, cell % experts);
      if (!std::isnan(value)) values.push_back(value);
    }
  }
  if (values.empty()) return sequential_scale(1);
  const auto top = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) * 999 / 1000);
  std::nth_element(values.begin(), top, values.end());
  return sequential_scale(*top);
}

std::string missing_transitions(const stats::RoutingStatistics& statistics) {
  if (statistics.usage.tokens() == 0) return kNoTokens;
  if (statistics.geometry.num_moe_layers < 2)
    return "The model has one MoE layer, so there is no transition between layers.";
  return fmt::format("Transitions are not counted for more than {} experts a layer.",
                     stats::TransitionCounts::kMaxExperts);
}

}  // namespace

Section transitions_section(const ReportInput& input, const Detail& detail) {
  const stats::RoutingStatistics& statistics = input.statistics;
  const int experts = statistics.geometry.num_experts;
  Section section{"transitions", "From layer to layer", {}, "", {}};
  const auto pairs = static_cast<size_t>(statistics.transitions.num_pairs());
  if (pairs == 0 || statistics.usage.tokens() == 0) {
    section.paragraphs = {missing_transitions(statistics)};
    return section;
  }
  Figure figure;
  figure.id = "transitions";
  figure.title = "Transitions between adjacent MoE layers";
  figure.reading =
      "A row is an expert of one layer, a column an expert of the next; the darker a cell (the "
      "brighter, in the dark theme), the more often a token of the row's expert goes on to the "
      "column's. A stripe down a column is an expert that is popular with everyone; single strong "
      "cells are what predictions can use. Lift compares with the column's overall use.";
  figure.choice = "Show";
  const ColorScale scale = common_scale(statistics);
  const size_t cells = static_cast<size_t>(experts) * static_cast<size_t>(experts);
  const std::vector<size_t> shown = spread(pairs, detail.of(kTransitionCells) / cells);
  for (const size_t index : shown) {
    const auto pair = static_cast<int>(index);
    figure.panels.push_back({pair_name(statistics.geometry, pair),
                             draw(transition_map(statistics, pair, scale)),
                             strongest_table(statistics.transitions, pair, experts)});
  }
  if (shown.size() < pairs) {
    figure.reading += fmt::format(" Shown are {} of {} pairs of layers; --tables writes all.",
                                  shown.size(), pairs);
  }
  figure.data = [&statistics](TableFile& file) { write_transitions(statistics, file); };
  section.figures.push_back(std::move(figure));
  return section;
}

}  // namespace foregate::report
