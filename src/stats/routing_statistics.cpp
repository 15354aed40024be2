#include "stats/routing_statistics.h"

#include "stats/balance.h"

namespace foregate {

RoutingStatistics::RoutingStatistics(const Geometry& shape)
    : geometry(shape), usage(shape), gate_mass(shape), transitions(shape), overlap(shape) {}

DatasetUsage& RoutingStatistics::dataset(const std::string& name) {
  for (DatasetUsage& entry : datasets) {
    if (entry.name == name) return entry;
  }
  datasets.push_back({name, 0, UsageCounts(geometry)});
  return datasets.back();
}

void RoutingStatistics::add(const Trace& trace) {
  ++traces;
  usage.add(trace);
  gate_mass.add(trace);
  transitions.add(trace);
  overlap.add(trace);
  DatasetUsage& entry = dataset(trace.dataset);
  ++entry.traces;
  entry.usage.add(trace);
}

double RoutingStatistics::divergence(size_t dataset_index, int layer) const {
  return jensen_shannon(datasets[dataset_index].usage.layer(layer), usage.layer(layer));
}

RoutingStatistics compute_statistics(const TraceDirectory& directory,
                                     const std::function<void(int64_t traces)>& on_progress) {
  RoutingStatistics statistics(directory.geometry());
  for (const DatasetEntry& entry : directory.manifest().datasets) statistics.dataset(entry.name);
  const TraceColumns columns = {.gate_weights = directory.manifest().gate_weights};
  Trace trace;
  for (size_t shard = 0; shard < directory.manifest().shards.size(); ++shard) {
    ShardReader reader = directory.open_shard(shard, columns);
    while (reader.next(trace)) {
      statistics.add(trace);
      if (on_progress) on_progress(statistics.traces);
    }
  }
  return statistics;
}

}  // namespace foregate
