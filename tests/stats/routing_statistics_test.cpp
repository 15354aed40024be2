#include "stats/routing_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "stats/balance.h"
#include "support/random_trace.h"
#include "support/temporary_folder.h"
#include "support/trace_fixture.h"

namespace foregate::stats {
namespace {

/// The same numbers by maps and one decision at a time.
struct Plain {
  std::map<std::pair<int, int>, int64_t> usage;
  std::map<std::tuple<std::string, int, int>, int64_t> by_dataset;
  std::map<std::tuple<int, int, int>, int64_t> transitions;
  std::map<int, double> overlap;
  std::map<std::pair<int, int>, double> mass;
  int64_t neighbors = 0;

  void add(const trace::Geometry& g, const trace::Trace& trace) {
    const auto at = [&](int t, int l, int r) { return (t * g.num_moe_layers + l) * g.top_k + r; };
    const auto expert = [&](int t, int l, int r) { return trace.experts[at(t, l, r)]; };
    const auto has = [&](int t, int l, int e) {
      for (int r = 0; r < g.top_k; ++r) {
        if (expert(t, l, r) == e) return true;
      }
      return false;
    };
    for (int t = 0; t < trace.num_tokens(); ++t) {
      for (int l = 0; l < g.num_moe_layers; ++l) {
        for (int r = 0; r < g.top_k; ++r) {
          const int e = expert(t, l, r);
          ++usage[{l, e}];
          ++by_dataset[{trace.dataset, l, e}];
          mass[{l, e}] += half_to_float(trace.gate_weights[at(t, l, r)]);
          if (t > 0 && has(t - 1, l, e)) overlap[l] += 1.0 / g.top_k;
          if (l + 1 == g.num_moe_layers) continue;
          for (int s = 0; s < g.top_k; ++s) ++transitions[{l, e, expert(t, l + 1, s)}];
        }
      }
      if (t > 0) ++neighbors;
    }
  }
};

TEST(RoutingStatisticsTest, AgreesWithStraightforwardCode) {
  const trace::Geometry g = small_geometry(5, 9, 3);
  Random random(7);
  RoutingStatistics statistics(g);
  Plain plain;
  for (int i = 0; i < 40; ++i) {
    const int tokens = static_cast<int>(random.below(34));
    const trace::Trace trace = random_trace(g, i % 3 == 0 ? "a" : "b", tokens, random);
    statistics.add(trace);
    plain.add(g, trace);
  }
  EXPECT_EQ(statistics.traces, 40);
  EXPECT_EQ(statistics.overlap.pairs(), plain.neighbors);
  for (int l = 0; l < g.num_moe_layers; ++l) {
    EXPECT_NEAR(statistics.overlap.share(l),
                plain.overlap[l] / static_cast<double>(plain.neighbors), 1e-9);
    for (int e = 0; e < g.num_experts; ++e) {
      EXPECT_EQ(statistics.usage.count(l, e), (plain.usage[{l, e}]));
      EXPECT_EQ(statistics.dataset("a").usage.count(l, e), (plain.by_dataset[{"a", l, e}]));
      EXPECT_NEAR(statistics.gate_mass.mass(l, e), (plain.mass[{l, e}]), 1e-9);
      for (int to = 0; l + 1 < g.num_moe_layers && to < g.num_experts; ++to)
        EXPECT_EQ(statistics.transitions.count(l, e, to), (plain.transitions[{l, e, to}]));
    }
  }
}

TEST(RoutingStatisticsTest, DivergenceFromTheOverallUsage) {
  const trace::Geometry g = small_geometry(1, 2, 1);
  RoutingStatistics statistics(g);
  statistics.add(trace_of(g, "a", {0, 0}));
  statistics.add(trace_of(g, "b", {1, 1}));
  const std::vector<int64_t> only = {2, 0};
  const std::vector<int64_t> all = {2, 2};
  EXPECT_DOUBLE_EQ(statistics.divergence(0, 0), jensen_shannon(only, all));
  EXPECT_DOUBLE_EQ(statistics.divergence(1, 0), statistics.divergence(0, 0));
}

TEST(RoutingStatisticsTest, ReadsATraceDirectory) {
  const testing::TemporaryFolder folder;
  const trace::Geometry geometry = trace::fixture_geometry(11, 2);
  const trace::Manifest manifest =
      trace::write_fixture(folder.path(), trace::fixture_manifest(geometry), 2, 15);
  RoutingStatistics expected(geometry);
  for (int i = 0; i < 30; ++i) expected.add(fixture_trace(manifest, i, trace::fixture_tokens(i)));

  std::vector<int64_t> calls;
  const RoutingStatistics statistics = compute_statistics(
      trace::TraceDirectory(folder.path()), [&](int64_t traces) { calls.push_back(traces); });
  EXPECT_EQ(calls.size(), 30u);
  EXPECT_EQ(calls.back(), 30);
  EXPECT_EQ(statistics.usage.tokens(), manifest.num_tokens());
  EXPECT_EQ(statistics.datasets.size(), manifest.datasets.size());
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    EXPECT_DOUBLE_EQ(statistics.overlap.share(layer), expected.overlap.share(layer));
    for (int expert = 0; expert < geometry.num_experts; ++expert) {
      EXPECT_EQ(statistics.usage.count(layer, expert), expected.usage.count(layer, expert));
      EXPECT_DOUBLE_EQ(statistics.gate_mass.mass(layer, expert),
                       expected.gate_mass.mass(layer, expert));
    }
  }
}

/// What the report's numbers are made of, in one list.
std::vector<double> fingerprint(const RoutingStatistics& statistics) {
  const trace::Geometry& g = statistics.geometry;
  std::vector<double> numbers;
  for (int layer = 0; layer < g.num_moe_layers; ++layer) {
    for (int e = 0; e < g.num_experts; ++e) {
      numbers.push_back(static_cast<double>(statistics.usage.count(layer, e)));
      numbers.push_back(statistics.gate_mass.mass(layer, e));
      numbers.push_back(statistics.clustered.share(layer, e).variance);
      numbers.push_back(statistics.coactivation.correlation(layer, 0, e));
      numbers.push_back(statistics.cache.lru_hit_rate(layer, e + 1));
      numbers.push_back(statistics.cache.optimal_hit_rate(layer, e + 1));
      for (const TypicalToken& token : statistics.affinity.typical(
               layer, e, statistics.usage.count(layer, e), statistics.usage.tokens(), 3))
        numbers.push_back(token.g2);
    }
    for (int other = 0; other < layer; ++other)
      numbers.push_back(
          statistics.information.bits(static_cast<size_t>(layer), static_cast<size_t>(other)));
    numbers.push_back(statistics.overlap.share(layer, 3));
    numbers.push_back(statistics.working_set.mean(layer, 4));
    numbers.push_back(static_cast<double>(statistics.gate_histogram.count(layer, 1, 12)));
    numbers.push_back(static_cast<double>(statistics.phases.generated().count(layer, 1)));
    numbers.push_back(statistics.divergence(0, 1, layer));
  }
  for (const trace::Trace* trace : statistics.paths.choose(8))
    numbers.push_back(static_cast<double>(trace->sample));
  return numbers;
}

TEST(RoutingStatisticsTest, PartsMergeIntoTheWhole) {
  const trace::Geometry g = small_geometry(3, 9, 2);
  Random random(13);
  RoutingStatistics whole(g, {0, 1, 2});
  std::vector<RoutingStatistics> parts(3, whole);
  for (int i = 0; i < 30; ++i) {
    trace::Trace trace = random_trace(g, i % 2 == 0 ? "a" : "b", 20 + i, random);
    for (int32_t& id : trace.token_ids) id = static_cast<int32_t>(random.below(5));
    trace.sample = i;
    trace.prompt_tokens = i;
    whole.add(trace);
    parts[static_cast<size_t>(i * 7 % 3)].add(trace);
  }
  parts[2].merge(parts[0]);
  parts[2].merge(parts[1]);
  RoutingStatistics& merged = parts[2];
  if (merged.datasets.front().name != "a") std::swap(merged.datasets[0], merged.datasets[1]);
  EXPECT_EQ(merged.traces, 30);
  EXPECT_EQ(fingerprint(merged), fingerprint(whole));
}

TEST(RoutingStatisticsTest, AnErrorInProgressEndsTheScan) {
  const testing::TemporaryFolder folder;
  trace::write_fixture(folder.path(), trace::fixture_manifest(trace::fixture_geometry(11, 2)), 3,
                       5);
  const trace::TraceDirectory directory(folder.path());
  EXPECT_THROW(compute_statistics(directory,
                                  [](int64_t traces) {
                                    if (traces == 4) throw InterruptedError("stopped");
                                  }),
               InterruptedError);
}

TEST(RoutingStatisticsTest, AnEmptyDirectoryIsAllZero) {
  const testing::TemporaryFolder folder;
  const trace::Manifest manifest =
      trace::write_fixture(folder.path(), trace::fixture_manifest(trace::fixture_geometry()), 0, 0);
  const RoutingStatistics statistics = compute_statistics(trace::TraceDirectory(folder.path()), {});
  EXPECT_EQ(statistics.traces, 0);
  EXPECT_EQ(statistics.usage.tokens(), 0);
  EXPECT_TRUE(std::isnan(statistics.divergence(0, 0)));
}

}  // namespace
}  // namespace foregate::stats
