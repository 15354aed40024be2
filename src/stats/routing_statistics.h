#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "stats/clustered_usage.h"
#include "stats/coactivation.h"
#include "stats/expert_cache.h"
#include "stats/expert_paths.h"
#include "stats/gate_histogram.h"
#include "stats/gate_mass.h"
#include "stats/layer_information.h"
#include "stats/phases.h"
#include "stats/token_affinity.h"
#include "stats/token_overlap.h"
#include "stats/transitions.h"
#include "stats/usage.h"
#include "stats/working_set.h"
#include "trace/reader.h"

namespace foregate::stats {

struct DatasetUsage {
  std::string name;
  int64_t traces = 0;
  UsageCounts usage;
  ClusteredUsage clustered;
};

/// Everything the report shows about a trace, accumulated text by text in memory that depends on
/// the geometry, the number of datasets and the vocabulary only.
struct RoutingStatistics {
  RoutingStatistics() = default;
  /// `followed_ids` are the token ids whose experts are counted.
  explicit RoutingStatistics(const trace::Geometry& shape,
                             const std::vector<int32_t>& followed_ids = {});

  void add(const trace::Trace& trace);
  /// Adds what another accumulator of the same geometry and ids has seen. Which of the two saw a
  /// trace makes no difference.
  void merge(const RoutingStatistics& other);
  /// The entry of dataset `name`, appended if it is new.
  DatasetUsage& dataset(const std::string& name);
  /// Jensen-Shannon divergence, in bits, of a dataset's usage of `layer` from that of all traces.
  double divergence(size_t dataset_index, int layer) const;
  /// The same between two datasets.
  double divergence(size_t dataset_index, size_t other_index, int layer) const;

  trace::Geometry geometry;
  int64_t traces = 0;
  UsageCounts usage;
  ClusteredUsage clustered;
  GateMass gate_mass;
  GateHistogram gate_histogram;
  TransitionCounts transitions;
  LayerInformation information;
  Coactivation coactivation;
  TokenOverlap overlap;
  WorkingSet working_set;
  ExpertCache cache;
  PhaseUsage phases;
  TokenAffinity affinity;
  ExpertPaths paths;
  std::vector<DatasetUsage> datasets;  ///< In the manifest's order.
};

/// Reads every shard twice, once for its token ids alone, on all cores: a shard a thread. The
/// result does not depend on the number of threads. `on_progress` (may be empty) is called after
/// each trace with the number done, by one thread at a time; what it throws ends the computation.
/// Throws what TraceDirectory's readers throw.
RoutingStatistics compute_statistics(const trace::TraceDirectory& directory,
                                     const std::function<void(int64_t traces)>& on_progress);

}  // namespace foregate::stats
