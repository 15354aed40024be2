// src/stats for Python: one pass over the texts, then arrays.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <optional>
#include <tuple>

#include "arrays.h"
#include "bindings.h"
#include "rows.h"
#include "stats/balance.h"
#include "stats/routing_statistics.h"

namespace foregate::python {
namespace {

using stats::RoutingStatistics;
using stats::TokenCounts;
using stats::UsageCounts;
using Chosen = std::optional<List<int64_t>>;

size_t layers_of(const RoutingStatistics& statistics) {
  return static_cast<size_t>(statistics.geometry.num_moe_layers);
}
size_t experts_of(const RoutingStatistics& statistics) {
  return static_cast<size_t>(statistics.geometry.num_experts);
}
size_t ranks_of(const RoutingStatistics& statistics) {
  return static_cast<size_t>(statistics.geometry.top_k);
}

NumpyArray<int64_t> usage_table(const RoutingStatistics& statistics, const UsageCounts& usage) {
  return numpy_table<int64_t>(layers_of(statistics), experts_of(statistics),
                              [&](int layer, int expert) { return usage.count(layer, expert); });
}

template <typename Accumulator>
void add_rows(Accumulator& accumulator, const Rows& rows, const Chosen& chosen) {
  const nb::gil_scoped_release release;
  rows.require_checked();
  rows.visit(chosen, [&](const trace::Trace& trace) { accumulator.add(trace); });
}

template <typename Accumulator>
void merge(Accumulator& accumulator, const Accumulator& other) {
  const nb::gil_scoped_release release;
  accumulator.merge(other);
}

std::vector<std::tuple<std::string, int64_t, NumpyArray<int64_t>>> by_dataset(
    const RoutingStatistics& statistics) {
  std::vector<std::tuple<std::string, int64_t, NumpyArray<int64_t>>> rows;
  for (const auto& dataset : statistics.datasets) {
    rows.emplace_back(dataset.name, dataset.traces, usage_table(statistics, dataset.usage));
  }
  return rows;
}

/// [L, lengths] with the lengths and the texts that reach them.
std::tuple<std::vector<int>, std::vector<int64_t>, NumpyArray<double>> working_set(
    const RoutingStatistics& statistics) {
  const std::vector<int> lengths = statistics.working_set.lengths();
  std::vector<int64_t> texts;
  for (size_t i = 0; i < lengths.size(); ++i) texts.push_back(statistics.working_set.texts(i));
  return {lengths, texts,
          numpy_table<double>(layers_of(statistics), lengths.size(), [&](int layer, int i) {
            return statistics.working_set.mean(layer, static_cast<size_t>(i));
          })};
}

/// [L, distances] with the distances and the pairs of tokens that far apart.
std::tuple<std::vector<int>, std::vector<int64_t>, NumpyArray<double>> overlap(
    const RoutingStatistics& statistics) {
  const auto& distances = stats::TokenOverlap::kDistances;
  std::vector<int64_t> pairs;
  for (size_t i = 0; i < distances.size(); ++i) pairs.push_back(statistics.overlap.pairs(i));
  return {{distances.begin(), distances.end()},
          pairs,
          numpy_table<double>(layers_of(statistics), distances.size(), [&](int layer, int i) {
            return statistics.overlap.share(layer, static_cast<size_t>(i));
          })};
}

/// [L, E]: hit rate of caches of 1 to E experts a layer.
std::pair<NumpyArray<double>, NumpyArray<double>> cache_hits(const RoutingStatistics& statistics) {
  return {numpy_table<double>(
              layers_of(statistics), experts_of(statistics),
              [&](int layer, int i) { return statistics.cache.lru_hit_rate(layer, i + 1); }),
          numpy_table<double>(layers_of(statistics), experts_of(statistics), [&](int layer, int i) {
            return statistics.cache.optimal_hit_rate(layer, i + 1);
          })};
}

/// [layers, layers] in bits, with the layers that are counted; NaN on the diagonal.
std::pair<std::vector<int>, NumpyArray<double>> information(const RoutingStatistics& statistics) {
  const std::vector<int>& layers = statistics.information.layers();
  return {layers, numpy_table<double>(layers.size(), layers.size(), [&](int a, int b) {
            if (a == b) return std::numeric_limits<double>::quiet_NaN();
            return statistics.information.bits(static_cast<size_t>(a), static_cast<size_t>(b));
          })};
}

std::optional<NumpyArray<int64_t>> transitions(const RoutingStatistics& statistics) {
  const size_t experts = experts_of(statistics);
  if (statistics.transitions.num_pairs() == 0 && statistics.geometry.num_moe_layers > 1)
    return std::nullopt;
  return numpy_block<int64_t>(
      static_cast<size_t>(statistics.transitions.num_pairs()), experts, experts,
      [&](int pair, int from, int to) { return statistics.transitions.count(pair, from, to); });
}

std::optional<NumpyArray<int64_t>> coactivation(const RoutingStatistics& statistics) {
  if (!statistics.coactivation.counted()) return std::nullopt;
  const size_t experts = experts_of(statistics);
  return numpy_block<int64_t>(
      layers_of(statistics), experts, experts,
      [&](int layer, int a, int b) { return statistics.coactivation.count(layer, a, b); });
}

NumpyArray<double> balance(const RoutingStatistics& statistics) {
  return numpy_table<double>(layers_of(statistics), 4, [&](int layer, int measure) {
    const auto counts = statistics.usage.layer(layer);
    switch (measure) {
      case 0:
        return stats::normalized_entropy(counts);
      case 1:
        return stats::busiest_share(counts);
      case 2:
        return stats::coefficient_of_variation(counts);
      default:
        return stats::gini(counts);
    }
  });
}

using Typical = std::tuple<int32_t, int64_t, int64_t, double, double, double>;

/// (id, tokens, chosen, probability, lift, g2)
std::vector<Typical> typical_tokens(const RoutingStatistics& statistics, int layer, int expert,
                                    size_t limit) {
  std::vector<Typical> rows;
  const int64_t of_expert = statistics.usage.count(layer, expert);
  for (const auto& token :
       statistics.affinity.typical(layer, expert, of_expert, statistics.usage.tokens(), limit)) {
    rows.emplace_back(token.id, token.tokens, token.chosen, token.probability, token.lift,
                      token.g2);
  }
  return rows;
}

void bind_token_counts(nb::module_& module) {
  nb::class_<TokenCounts>(module, "TokenCounts", "How often each token id occurs.")
      .def(nb::init<>())
      .def("add", add_rows<TokenCounts>, nb::arg("rows"), nb::arg("chosen") = nb::none())
      .def("merge", merge<TokenCounts>, nb::arg("other"))
      .def(
          "followed",
          [](const TokenCounts& counts, const trace::Geometry& geometry) {
            std::vector<int32_t> ids = counts.most_frequent(
                stats::TokenAffinity::room(geometry), stats::TokenAffinity::kLeastOccurrences);
            const size_t size = ids.size();
            return numpy_array(std::move(ids), {size});
          },
          nb::arg("geometry"), "The ids that are frequent enough to say something about experts.");
}

}  // namespace

void bind_statistics(nb::module_& module) {
  bind_token_counts(module);
  nb::class_<RoutingStatistics>(module, "Statistics",
                                "Everything that one pass over texts counts; parts add up.")
      .def(
          "__init__",
          [](RoutingStatistics* self, const trace::Geometry& geometry,
             const List<int32_t>& followed, const std::vector<std::string>& datasets) {
            const auto ids = span_of(followed);
            new (self) RoutingStatistics(geometry, {ids.begin(), ids.end()});
            for (const std::string& name : datasets) self->dataset(name);
          },
          nb::arg("geometry"), nb::arg("followed"), nb::arg("datasets"))
      .def("add", add_rows<RoutingStatistics>, nb::arg("rows"), nb::arg("chosen") = nb::none())
      .def("merge", merge<RoutingStatistics>, nb::arg("other"))
      .def_prop_ro("traces", [](const RoutingStatistics& statistics) { return statistics.traces; })
      .def_prop_ro("tokens",
                   [](const RoutingStatistics& statistics) { return statistics.usage.tokens(); })
      .def("usage",
           [](const RoutingStatistics& statistics) {
             return usage_table(statistics, statistics.usage);
           })
      .def("usage_by_dataset", by_dataset)
      .def("usage_by_phase",
           [](const RoutingStatistics& statistics) {
             return std::pair(usage_table(statistics, statistics.phases.prompt()),
                              usage_table(statistics, statistics.phases.generated()));
           })
      .def("transitions", transitions)
      .def("coactivation", coactivation)
      .def("gate_mass",
           [](const RoutingStatistics& statistics) {
             return numpy_table<double>(
                 layers_of(statistics), experts_of(statistics),
                 [&](int layer, int expert) { return statistics.gate_mass.mass(layer, expert); });
           })
      .def("gate_by_rank",
           [](const RoutingStatistics& statistics) {
             return numpy_table<double>(layers_of(statistics), ranks_of(statistics),
                                        [&](int layer, int rank) {
                                          return statistics.gate_mass.mean_of_rank(layer, rank);
                                        });
           })
      .def("gate_histogram",
           [](const RoutingStatistics& statistics) {
             return numpy_block<int64_t>(layers_of(statistics), ranks_of(statistics),
                                         stats::GateHistogram::kBins,
                                         [&](int layer, int rank, int bin) {
                                           return statistics.gate_histogram.count(layer, rank, bin);
                                         });
           })
      .def("balance", balance)
      .def("overlap", overlap)
      .def("working_set", working_set)
      .def("cache_hits", cache_hits)
      .def("information", information)
      .def("typical_tokens", typical_tokens, nb::arg("layer"), nb::arg("expert"), nb::arg("limit"));
}

}  // namespace foregate::python
