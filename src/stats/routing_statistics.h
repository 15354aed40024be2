#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "stats/gate_mass.h"
#include "stats/token_overlap.h"
#include "stats/transitions.h"
#include "stats/usage.h"
#include "trace/reader.h"

namespace foregate {

struct DatasetUsage {
  std::string name;
  int64_t traces = 0;
  UsageCounts usage;
};

/// Everything the report shows about a trace, accumulated text by text in memory that depends on
/// the geometry and the number of datasets only.
struct RoutingStatistics {
  RoutingStatistics() = default;
  explicit RoutingStatistics(const Geometry& shape);

  void add(const Trace& trace);
  /// The entry of dataset `name`, appended if it is new.
  DatasetUsage& dataset(const std::string& name);
  /// Jensen-Shannon divergence, in bits, of a dataset's usage of `layer` from that of all traces.
  double divergence(size_t dataset_index, int layer) const;

  Geometry geometry;
  int64_t traces = 0;
  UsageCounts usage;
  GateMass gate_mass;
  TransitionCounts transitions;
  TokenOverlap overlap;
  std::vector<DatasetUsage> datasets;  ///< In the manifest's order.
};

/// Reads every shard once. `on_progress` (may be empty) is called after each trace with the number
/// done. Throws what TraceDirectory's readers throw.
RoutingStatistics compute_statistics(const TraceDirectory& directory,
                                     const std::function<void(int64_t traces)>& on_progress);

}  // namespace foregate
