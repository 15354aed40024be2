#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/number_text.h"
#include "report/charts/heat_map.h"
#include "report/charts/line_chart.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

constexpr const char* kOnDemand = "on demand";
constexpr double kMilli = 1e-3;

std::string name_of(const Simulation::Prefetch& prefetch) {
  return prefetch.predictor.empty() ? kOnDemand : prefetch.predictor;
}

Figure curve_figure(const Simulation& simulation) {
  LineChart chart;
  chart.label = "Line chart of miss rates by the size of the expert cache and by policy";
  chart.description = "Share of the experts that a token needs and does not find in the cache.";
  chart.x_title = "experts in the cache, of all";
  chart.y_title = "miss rate";
  chart.x_labels = simulation.budgets;
  for (const Simulation::Curve& curve : simulation.curves) {
    Series series{curve.policy, {}, curve.policy == "belady"};
    for (const double rate : curve.hit_rates) series.values.push_back(1 - rate);
    chart.series.push_back(std::move(series));
  }
  return {"miss-curves",
          "Misses by policy and size",
          "Experts of all layers share the cache, texts follow one another in it. The dashed line "
          "is Belady's optimum, which knows the future: no cache misses less. lru evicts what was "
          "used longest ago; lru-token does so token by token, and of a token what is needed last; "
          "lrfu-H weighs uses by age, with a half-life of H tokens; -layer gives every layer a "
          "share of its own; static holds what other texts use most.",
          "",
          {{"", draw(chart), series_table(chart)}},
          [&simulation](TableFile& file) {
            file.columns({{"policy"}, {"budget"}, {"miss_rate"}});
            for (const Simulation::Curve& curve : simulation.curves) {
              for (size_t i = 0; i < simulation.budgets.size(); ++i)
                file.row({curve.policy, simulation.budgets[i], 1 - curve.hit_rates[i]});
            }
          }};
}

Figure speed_figure(const Simulation& simulation) {
  HeatMap map;
  map.label = "Heat map of tokens a second by predictor and size of the expert cache";
  map.description = "Rows are what prefetches, columns how many of all experts the cache holds.";
  map.row_title = "prefetch";
  map.column_title = "cache";
  map.value_title = "tokens a second";
  map.column_labels = simulation.budgets;
  map.unit = Unit::kCount;
  map.hole = "no such cache";
  map.numbers = true;
  Table table{{{"prefetch"}}, {}};
  for (const std::string& budget : simulation.budgets)
    table.columns.push_back({budget, Unit::kCount});
  double fastest = 0;
  for (const Simulation::Prefetch& prefetch : simulation.prefetches) {
    map.row_labels.push_back(shorten(name_of(prefetch), 24));
    table.rows.push_back({name_of(prefetch)});
    for (const Simulation::Run& run : prefetch.runs) {
      map.values.push_back(run.tokens_per_second);
      table.rows.back().emplace_back(run.tokens_per_second);
      if (run.tokens_per_second > fastest) fastest = run.tokens_per_second;
    }
  }
  map.scale = sequential_scale(fastest);
  return {"simulated-speed",
          "Speed by predictor and size",
          fmt::format(
              "Tokens a second on {} with experts of {} and the policy {}, one text at a time, "
              "over {}. "
              "Compare a row with the first, which fetches nothing ahead; oracle-D knows the next "
              "D layers of a token and is a bound for what predicts so far.",
              simulation.hardware, human_bytes(static_cast<uint64_t>(simulation.expert_bytes)),
              simulation.policy, number_of(simulation.timed_tokens, "token")),
          "",
          {{"", draw(map), std::move(table)}},
          [&simulation](TableFile& file) {
            file.columns({{"prefetch"},
                          {"budget"},
                          {"tokens_per_second"},
                          {"compute_seconds"},
                          {"wait_seconds"},
                          {"link_demand_seconds"},
                          {"link_prefetch_seconds"},
                          {"wasted_share"}});
            for (const Simulation::Prefetch& prefetch : simulation.prefetches) {
              for (size_t i = 0; i < simulation.budgets.size(); ++i) {
                const Simulation::Run& run = prefetch.runs[i];
                file.row({name_of(prefetch), simulation.budgets[i], run.tokens_per_second,
                          run.compute_seconds, run.wait_seconds, run.demand_seconds,
                          run.prefetch_seconds, run.wasted_share});
              }
            }
          }};
}

Panel time_panel(const Simulation& simulation, const Simulation::Prefetch& prefetch) {
  LineChart chart;
  chart.label =
      "Line chart of a token's milliseconds by the size of the cache, " + name_of(prefetch);
  chart.description = "What the card and the link do in the mean time of a token.";
  chart.x_title = "experts in the cache, of all";
  chart.y_title = "ms a token";
  chart.unit = Unit::kCount;
  chart.x_labels = simulation.budgets;
  const auto add = [&](const char* name, double Simulation::Run::*seconds, bool dashed) {
    Series series{name, {}, dashed};
    for (const Simulation::Run& run : prefetch.runs) series.values.push_back(run.*seconds / kMilli);
    chart.series.push_back(std::move(series));
  };
  add("card computes", &Simulation::Run::compute_seconds, false);
  add("card waits", &Simulation::Run::wait_seconds, false);
  add("link: misses", &Simulation::Run::demand_seconds, true);
  if (!prefetch.predictor.empty())
    add("link: prefetches", &Simulation::Run::prefetch_seconds, true);
  return {name_of(prefetch), draw(chart), series_table(chart)};
}

Figure time_figure(const Simulation& simulation) {
  Figure figure;
  figure.id = "simulated-time";
  figure.title = "Where the time goes";
  figure.reading =
      "A token takes as long as the card computes and waits (drawn lines, to be added). Dashed is "
      "what the link is busy with meanwhile: prefetches that are in time take link time but no "
      "wait, and where the link is busy all the time more of them cannot help.";
  figure.choice = "Prefetch";
  for (const Simulation::Prefetch& prefetch : simulation.prefetches)
    figure.panels.push_back(time_panel(simulation, prefetch));
  figure.data = [&simulation](TableFile& file) {
    file.columns({{"prefetch"}, {"budget"}, {"compute_ms"}, {"wait_ms"}});
    for (const Simulation::Prefetch& prefetch : simulation.prefetches) {
      for (size_t i = 0; i < simulation.budgets.size(); ++i) {
        file.row({name_of(prefetch), simulation.budgets[i],
                  prefetch.runs[i].compute_seconds / kMilli,
                  prefetch.runs[i].wait_seconds / kMilli});
      }
    }
  };
  return figure;
}

}  // namespace

Section simulation_section(const ReportInput& input) {
  const Simulation& simulation = *input.simulation;
  Section section{"simulation", "What a cache would gain", {}, "", {}};
  section.paragraphs = {fmt::format(
      "Replayed: {} of {}, every token as if it were generated. Nothing here was run on a device.",
      number_of(simulation.tokens, "token"), number_of(simulation.texts, "text"))};
  section.figures.push_back(curve_figure(simulation));
  if (simulation.prefetches.empty()) return section;
  section.figures.push_back(speed_figure(simulation));
  section.figures.push_back(time_figure(simulation));
  return section;
}

}  // namespace foregate::report
