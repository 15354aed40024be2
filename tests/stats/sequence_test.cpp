// Accumulators that look along a text, against straightforward code on random traces.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "stats/expert_cache.h"
#include "stats/expert_paths.h"
#include "stats/gate_histogram.h"
#include "stats/phases.h"
#include "stats/working_set.h"
#include "support/random_trace.h"

namespace foregate::stats {
namespace {

std::vector<uint16_t> requests_of(const trace::Geometry& g, const trace::Trace& trace, int layer) {
  std::vector<uint16_t> requests;
  for (int token = 0; token < trace.num_tokens(); ++token) {
    const auto first = trace.experts.begin() +
                       static_cast<std::ptrdiff_t>(token * g.num_moe_layers + layer) * g.top_k;
    requests.insert(requests.end(), first, first + g.top_k);
  }
  return requests;
}

/// When `expert` is requested next after `now`.
size_t next_use(const std::vector<uint16_t>& requests, size_t now, uint16_t expert) {
  size_t i = now + 1;
  while (i < requests.size() && requests[i] != expert) ++i;
  return i;
}

/// Simulates one cache; evicts the least recently used, or what is needed last.
int64_t hits_of(const std::vector<uint16_t>& requests, size_t size, bool optimal) {
  std::vector<uint16_t> cache;  // most recent last
  int64_t hits = 0;
  for (size_t now = 0; now < requests.size(); ++now) {
    const auto at = std::find(cache.begin(), cache.end(), requests[now]);
    if (at != cache.end()) {
      ++hits;
      cache.erase(at);
    } else if (cache.size() == size) {
      auto victim = cache.begin();
      for (auto it = cache.begin(); optimal && it != cache.end(); ++it) {
        if (next_use(requests, now, *it) > next_use(requests, now, *victim)) victim = it;
      }
      cache.erase(victim);
    }
    cache.push_back(requests[now]);
  }
  return hits;
}

TEST(ExpertCacheTest, AgreesWithSimulatedCachesOfEverySize) {
  const trace::Geometry g = small_geometry(2, 9, 3);
  Random random(3);
  ExpertCache cache(g);
  std::vector<trace::Trace> traces;
  for (const int tokens : {0, 1, 31, 90}) {
    traces.push_back(random_trace(g, "d", tokens, random));
    cache.add(RoutingView(g, traces.back()));
  }
  EXPECT_EQ(cache.requests(), (1 + 31 + 90) * 3);
  const auto total = static_cast<double>(cache.requests());
  for (int layer = 0; layer < 2; ++layer) {
    for (int size = 1; size <= 9; ++size) {
      int64_t recent = 0;
      int64_t best = 0;
      for (const trace::Trace& trace : traces) {
        recent += hits_of(requests_of(g, trace, layer), static_cast<size_t>(size), false);
        best += hits_of(requests_of(g, trace, layer), static_cast<size_t>(size), true);
      }
      EXPECT_DOUBLE_EQ(cache.lru_hit_rate(layer, size), static_cast<double>(recent) / total)
          << size;
      EXPECT_DOUBLE_EQ(cache.optimal_hit_rate(layer, size), static_cast<double>(best) / total)
          << size;
    }
    EXPECT_DOUBLE_EQ(cache.lru_hit_rate(layer, 9),
                     1 - static_cast<double>(cache.first_uses(layer)) / total);
  }
  EXPECT_TRUE(std::isnan(ExpertCache(g).lru_hit_rate(0, 1)));
}

TEST(ExpertCacheTest, ReuseDistances) {
  const trace::Geometry g = small_geometry(1, 4, 1);
  ExpertCache cache(g);
  cache.add(RoutingView(g, trace_of(g, "d", {0, 0, 1, 2, 1, 0})));
  EXPECT_EQ(cache.first_uses(0), 3);
  EXPECT_EQ(cache.reuses_at(0, 1), 1);  // 0 at once
  EXPECT_EQ(cache.reuses_at(0, 2), 1);  // 1 after 2
  EXPECT_EQ(cache.reuses_at(0, 3), 1);  // 0 after 1, 2, 1
}

TEST(WorkingSetTest, AgreesWithSets) {
  const trace::Geometry g = small_geometry(2, 70, 3);
  Random random(5);
  WorkingSet working(g);
  std::vector<trace::Trace> traces;
  for (const int tokens : {1, 5, 33, 33}) {
    traces.push_back(random_trace(g, "d", tokens, random));
    working.add(RoutingView(g, traces.back()));
  }
  const std::vector<int> lengths = working.lengths();
  EXPECT_EQ(lengths, (std::vector<int>{1, 2, 3, 4, 6, 8, 12, 16, 24, 32}));
  for (size_t i = 0; i < lengths.size(); ++i) {
    for (int layer = 0; layer < 2; ++layer) {
      double distinct = 0;
      double texts = 0;
      for (const trace::Trace& trace : traces) {
        if (trace.num_tokens() < lengths[i]) continue;
        std::vector<uint16_t> requests = requests_of(g, trace, layer);
        requests.resize(static_cast<size_t>(lengths[i]) * 3);
        distinct += static_cast<double>(std::set(requests.begin(), requests.end()).size());
        ++texts;
      }
      EXPECT_DOUBLE_EQ(working.mean(layer, i), distinct / texts);
    }
  }
}

TEST(WorkingSetTest, ExpectedFromUsage) {
  const std::vector<int64_t> counts = {10, 5, 5, 0};  // of 10 tokens, top-2
  EXPECT_DOUBLE_EQ(expected_working_set(counts.data(), 4, 10, 1), 2);
  EXPECT_DOUBLE_EQ(expected_working_set(counts.data(), 4, 10, 2), 1 + 2 * 0.75);
}

TEST(GateHistogramTest, BinsOfEqualWidth) {
  const trace::Geometry g = small_geometry(1, 4, 2);
  GateHistogram histogram(g);
  trace::Trace trace = trace_of(g, "d", {0, 1, 2, 3, 0, 1});
  const std::vector<float> weights = {0.5f, 0.25f, 1.0f, 0.0f, 1.5f, 0.0199f};
  for (size_t i = 0; i < weights.size(); ++i) trace.gate_weights[i] = float_to_half(weights[i]);
  histogram.add(trace);
  EXPECT_EQ(histogram.tokens(), 3);
  EXPECT_EQ(histogram.count(0, 0, 25), 1);  // 0.5
  EXPECT_EQ(histogram.count(0, 0, 49), 2);  // 1 and what is above
  EXPECT_EQ(histogram.count(0, 1, 12), 1);  // 0.25
  EXPECT_EQ(histogram.count(0, 1, 0), 2);
}

TEST(PhaseUsageTest, OnlyTracesWithBoth) {
  const trace::Geometry g = small_geometry(1, 4, 1);
  PhaseUsage phases(g);
  trace::Trace trace = trace_of(g, "d", {0, 1, 2, 2});
  for (const int prompt : {0, 4}) {
    trace.prompt_tokens = prompt;
    phases.add(trace);
  }
  EXPECT_FALSE(phases.any());
  trace.prompt_tokens = 3;
  phases.add(trace);
  EXPECT_EQ(phases.prompt().tokens(), 3);
  EXPECT_EQ(phases.prompt().count(0, 2), 1);
  EXPECT_EQ(phases.generated().tokens(), 1);
  EXPECT_EQ(phases.generated().count(0, 2), 1);
}

TEST(ExpertPathsTest, FirstTextsOfEachDatasetWhateverTheOrder) {
  const trace::Geometry g = small_geometry(2, 5, 2);
  Random random(9);
  std::vector<trace::Trace> traces;
  for (int i = 0; i < 12; ++i) {
    traces.push_back(random_trace(g, i % 2 == 0 ? "a" : "b", i == 0 ? 3 : 60, random));
    traces.back().sample = i;
  }
  for (int order = 0; order < 3; ++order) {
    random.shuffle(traces);
    ExpertPaths first;
    ExpertPaths second;
    for (const trace::Trace& trace : traces) (trace.sample % 3 == 0 ? first : second).add(trace, g);
    first.merge(second);
    std::vector<int64_t> samples;
    for (const trace::Trace* trace : first.choose(5)) samples.push_back(trace->sample);
    EXPECT_EQ(samples, (std::vector<int64_t>{2, 1, 4, 3, 6}));  // 0 is short
    EXPECT_EQ(first.choose(1)[0]->num_tokens(), ExpertPaths::kTokens);
    EXPECT_EQ(first.choose(1)[0]->experts.size(), static_cast<size_t>(ExpertPaths::kTokens) * 4);
  }
}

}  // namespace
}  // namespace foregate::stats
