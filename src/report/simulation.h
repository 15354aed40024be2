#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace foregate::report {

/// What expert caches of some sizes would gain on a trace, as plain numbers: who replayed it, and
/// how, is not the report's business.
struct Simulation {
  /// One eviction policy.
  struct Curve {
    std::string policy;
    std::vector<double> hit_rates;  ///< [budgets]; NaN: no such cache
  };

  /// Generated tokens with one budget and one predictor, against the clock; seconds are means a
  /// token. NaN throughout: no such cache.
  struct Run {
    double tokens_per_second = 0;
    double compute_seconds = 0;   ///< of the device
    double wait_seconds = 0;      ///< of the device, for experts and predictor
    double demand_seconds = 0;    ///< of the link, for misses
    double prefetch_seconds = 0;  ///< of the link, ahead of need
    double wasted_share = 0;      ///< of the bytes that were moved
  };
  struct Prefetch {
    std::string predictor;  ///< empty: on demand
    std::vector<Run> runs;  ///< [budgets]
  };

  int64_t tokens = 0;
  int64_t texts = 0;
  std::vector<std::string> budgets;  ///< "30%"
  std::vector<Curve> curves;

  // Only with a device; else empty.
  std::string hardware;
  std::string policy;  ///< that the runs evict by
  double expert_bytes = 0;
  int64_t timed_tokens = 0;  ///< generated ones, that the runs are means of
  std::vector<Prefetch> prefetches;
};

}  // namespace foregate::report
