#include "stats/routing_statistics.h"

#include <algorithm>

#include "stats/balance.h"

namespace foregate::stats {

RoutingStatistics::RoutingStatistics(const trace::Geometry& shape,
                                     const std::vector<int32_t>& followed_ids)
    : geometry(shape),
      usage(shape),
      clustered(shape),
      gate_mass(shape),
      gate_histogram(shape),
      transitions(shape),
      information(shape),
      coactivation(shape),
      overlap(shape),
      working_set(shape),
      cache(shape),
      phases(shape),
      affinity(shape, followed_ids) {}

DatasetUsage& RoutingStatistics::dataset(const std::string& name) {
  for (DatasetUsage& entry : datasets) {
    if (entry.name == name) return entry;
  }
  datasets.push_back({name, 0, UsageCounts(geometry), ClusteredUsage(geometry)});
  return datasets.back();
}

void RoutingStatistics::add(const trace::Trace& trace) {
  const RoutingView routing(geometry, trace);
  ++traces;
  usage.add(trace);
  clustered.add(trace);
  gate_mass.add(trace);
  gate_histogram.add(trace);
  transitions.add(trace);
  information.add(routing);
  coactivation.add(routing);
  overlap.add(routing);
  working_set.add(routing);
  cache.add(routing);
  phases.add(trace);
  affinity.add(trace);
  paths.add(trace, geometry);
  DatasetUsage& entry = dataset(trace.dataset);
  ++entry.traces;
  entry.usage.add(trace);
  entry.clustered.add(trace);
}

void RoutingStatistics::merge(const RoutingStatistics& other) {
  traces += other.traces;
  usage.merge(other.usage);
  clustered.merge(other.clustered);
  gate_mass.merge(other.gate_mass);
  gate_histogram.merge(other.gate_histogram);
  transitions.merge(other.transitions);
  information.merge(other.information);
  coactivation.merge(other.coactivation);
  overlap.merge(other.overlap);
  working_set.merge(other.working_set);
  cache.merge(other.cache);
  phases.merge(other.phases);
  affinity.merge(other.affinity);
  paths.merge(other.paths);
  for (const DatasetUsage& theirs : other.datasets) {
    DatasetUsage& ours = dataset(theirs.name);
    ours.traces += theirs.traces;
    ours.usage.merge(theirs.usage);
    ours.clustered.merge(theirs.clustered);
  }
}

double RoutingStatistics::divergence(size_t dataset_index, int layer) const {
  return jensen_shannon(datasets[dataset_index].usage.layer(layer), usage.layer(layer));
}

double RoutingStatistics::divergence(size_t dataset_index, size_t other_index, int layer) const {
  return jensen_shannon(datasets[dataset_index].usage.layer(layer),
                        datasets[other_index].usage.layer(layer));
}

}  // namespace foregate::stats
