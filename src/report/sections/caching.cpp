#include <fmt/format.h>

#include <algorithm>

#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

constexpr size_t kPointBudget = 720;  // Points of all panels of a figure together.

Table working_set_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  const std::vector<int> lengths = statistics.working_set.lengths();
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"tokens"},
               {"texts"},
               {"experts", Unit::kCount},
               {"by_usage_alone", Unit::kCount}},
              {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const int64_t* counts = statistics.usage.layer(layer).data();
    for (size_t i = 0; i < lengths.size(); ++i) {
      table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer), int64_t{lengths[i]},
                            statistics.working_set.texts(i), statistics.working_set.mean(layer, i),
                            stats::expected_working_set(counts, geometry.num_experts,
                                                        statistics.usage.tokens(), lengths[i])});
    }
  }
  return table;
}

Figure working_set_figure(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  const std::vector<int> lengths = statistics.working_set.lengths();
  LineChart chart;
  chart.label = "Line chart of the number of different experts by the tokens read";
  chart.description = "Different experts of a layer that the first n tokens of a text use.";
  chart.x_title = "first tokens of a text";
  chart.y_title = "different experts";
  chart.unit = Unit::kCount;
  for (const int length : lengths) chart.x_labels.push_back(std::to_string(length));
  chart.series = layer_lines(geometry, lengths.size(), [&](int layer, size_t i) {
    return statistics.working_set.mean(layer, i);
  });
  Series alone{"expected from usage alone (mean)", {}, true};
  for (const int length : lengths) {
    alone.values.push_back(layer_mean(geometry, [&](int layer) {
      return stats::expected_working_set(statistics.usage.layer(layer).data(), geometry.num_experts,
                                         statistics.usage.tokens(), length);
    }));
  }
  chart.series.push_back(std::move(alone));
  return {"working-set",
          "Working set",
          fmt::format("How many of a layer's {} experts the first tokens of a text use between "
                      "them, averaged over the texts that are so long. Below the dashed line a "
                      "text stays with fewer experts than usage alone would make it use.",
                      geometry.num_experts),
          "",
          {{"", draw(chart), series_table(chart)}},
          [&statistics](TableFile& file) { file.add(working_set_table(statistics)); }};
}

using Rate = double (stats::ExpertCache::*)(int layer, int size) const;

/// Hit rate of every cache size; of one layer, or the mean of all for layer -1.
std::vector<double> rates_of(const stats::RoutingStatistics& statistics, int layer, Rate rate) {
  std::vector<double> rates;
  for (int size = 1; size <= statistics.geometry.num_experts; ++size) {
    const auto of_layer = [&](int l) { return (statistics.cache.*rate)(l, size); };
    rates.push_back(layer >= 0 ? of_layer(layer) : layer_mean(statistics.geometry, of_layer));
  }
  return rates;
}

Panel cache_panel(const stats::RoutingStatistics& statistics, const std::string& name, int layer) {
  const int experts = statistics.geometry.num_experts;
  LineChart chart;
  chart.label = "Line chart of cache hit rates by cache size, " + name;
  chart.description = "Share of requests that find their expert in the cache, LRU and optimum.";
  chart.x_title = "experts in the cache";
  chart.y_title = "hit rate";
  for (int size = 1; size <= experts; ++size) chart.x_labels.push_back(std::to_string(size));
  Series fixed{"c experts loaded beforehand at random", {}, true};
  for (int size = 1; size <= experts; ++size)
    fixed.values.push_back(static_cast<double>(size) / experts);
  chart.series = {
      {"LRU", rates_of(statistics, layer, &stats::ExpertCache::lru_hit_rate)},
      {"Belady's optimum", rates_of(statistics, layer, &stats::ExpertCache::optimal_hit_rate)},
      std::move(fixed)};
  return {name, draw(chart), series_table(chart)};
}

void write_cache(const stats::RoutingStatistics& statistics, TableFile& file) {
  const trace::Geometry& geometry = statistics.geometry;
  file.columns(
      {{"moe_layer"}, {"decoder_layer"}, {"cache_size"}, {"lru_hit_rate"}, {"optimal_hit_rate"}});
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int size = 1; size <= geometry.num_experts; ++size) {
      file.row({int64_t{layer}, decoder_layer(geometry, layer), int64_t{size},
                statistics.cache.lru_hit_rate(layer, size),
                statistics.cache.optimal_hit_rate(layer, size)});
    }
  }
}

Figure cache_figure(const stats::RoutingStatistics& statistics, const Detail& detail) {
  const trace::Geometry& geometry = statistics.geometry;
  Figure figure;
  figure.id = "cache-hits";
  figure.title = "Hit rate of an expert cache";
  figure.reading =
      "Share of the needed experts that a cache of so many experts a layer still holds, if it "
      "evicts the least recently used (LRU), and at the very best (Belady's optimum, which knows "
      "the future). Every text begins with an empty cache, so that first uses miss; the dashed "
      "line "
      "is c experts chosen at random and loaded beforehand. Between the two lines is what better "
      "eviction can win; above the upper one only prefetching helps.";
  figure.choice = "Show";
  figure.panels.push_back(cache_panel(statistics, "mean of all layers", -1));
  const auto points = static_cast<size_t>(3 * geometry.num_experts);
  const std::vector<size_t> shown =
      spread(static_cast<size_t>(geometry.num_moe_layers), detail.of(kPointBudget) / points);
  for (const size_t layer : shown) {
    const auto index = static_cast<int>(layer);
    figure.panels.push_back(
        cache_panel(statistics, fmt::format("layer {}", decoder_layer(geometry, index)), index));
  }
  if (shown.size() < static_cast<size_t>(geometry.num_moe_layers))
    figure.reading += fmt::format(" Shown are {} of {} layers; --tables writes all.", shown.size(),
                                  geometry.num_moe_layers);
  figure.data = [&statistics](TableFile& file) { write_cache(statistics, file); };
  return figure;
}

Table reuse_table(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  Table table{
      {{"moe_layer"}, {"decoder_layer"}, {"distance"}, {"requests"}, {"share", Unit::kPercent}},
      {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int distance = 0; distance <= geometry.num_experts; ++distance) {
      const int64_t requests = statistics.cache.reuses_at(layer, distance);
      table.rows.push_back(
          {int64_t{layer}, decoder_layer(geometry, layer),
           distance == 0 ? std::string("first use") : std::to_string(distance), requests,
           static_cast<double>(requests) / static_cast<double>(statistics.cache.requests())});
    }
  }
  return table;
}

Figure reuse_figure(const stats::RoutingStatistics& statistics) {
  const trace::Geometry& geometry = statistics.geometry;
  LineChart chart;
  chart.label = "Histogram of reuse distances";
  chart.description = "Share of requests by the number of different experts requested since.";
  chart.x_title = "reuse distance (different experts)";
  chart.y_title = "share of requests";
  for (int distance = 1; distance <= geometry.num_experts; ++distance)
    chart.x_labels.push_back(std::to_string(distance));
  const auto requests = static_cast<double>(statistics.cache.requests());
  chart.series =
      layer_lines(geometry, static_cast<size_t>(geometry.num_experts), [&](int layer, size_t i) {
        return static_cast<double>(statistics.cache.reuses_at(layer, static_cast<int>(i) + 1)) /
               requests;
      });
  const double first = layer_mean(geometry, [&](int layer) {
    return static_cast<double>(statistics.cache.first_uses(layer)) / requests;
  });
  return {"reuse-distances",
          "Reuse distances",
          fmt::format("How many different experts of the layer were requested since an expert was "
                      "last needed, itself included: an LRU cache hits if it holds that many. On "
                      "average {} of the requests are for experts that their text had not used "
                      "before; they miss in every cache.",
                      format_value(first, Unit::kPercent)),
          "",
          {{"", draw(chart), series_table(chart)}},
          [&statistics](TableFile& file) { file.add(reuse_table(statistics)); }};
}

}  // namespace

Section caching_section(const ReportInput& input, const Detail& detail) {
  Section section{"caching", "Caching", {}, "", {}};
  if (input.statistics.cache.requests() == 0 || input.statistics.geometry.num_moe_layers == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  section.figures.push_back(working_set_figure(input.statistics));
  section.figures.push_back(cache_figure(input.statistics, detail));
  section.figures.push_back(reuse_figure(input.statistics));
  return section;
}

}  // namespace foregate::report
