#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "offload/cache/policy.h"
#include "offload/replay/steps.h"
#include "trace/geometry.h"

namespace foregate::offload {

struct SweepOptions {
  std::vector<Policy> policies;
  std::vector<int64_t> slots;  ///< sizes of the cache, in experts
  ScheduleOptions schedule;
  bool curves = false;  ///< also the hits of LRU at every size
  int threads = 1;
  int64_t expected_tokens = 0;  ///< for progress; 0: not known
};

/// Experts that events asked for, each once an event, and how many of them were there.
struct HitCount {
  int64_t requests = 0;
  int64_t hits = 0;

  int64_t misses() const { return requests - hits; }
  double rate() const;  ///< NaN without requests
};

/// One policy with a cache of one size.
struct SweepCell {
  Policy policy;
  int64_t slots = 0;
  std::string impossible;              ///< why there is nothing below; else empty
  HitCount generated;                  ///< of tokens that are generated, or run as if they were
  HitCount prompt;                     ///< of prompts in batches
  std::vector<int64_t> hits_by_layer;  ///< [L] of both
};

struct SweepCurve {
  Policy policy;
  std::vector<int64_t> hits;  ///< [L * E + 1] by slots
};

struct SweepResult {
  int64_t texts = 0;
  int64_t tokens = 0;
  int64_t steps = 0;
  int64_t requests = 0;          ///< of all events
  std::vector<SweepCell> cells;  ///< policies in their order, of each all sizes
  std::vector<SweepCurve> curves;
};

/// Replays the texts through a cache of every policy and size. LRU, global and by layer, takes one
/// pass for all sizes unless prompts come in batches; the others one cache each, over `threads`
/// threads. Static caches hold what the other half of the texts uses most: texts are even or odd in
/// reading order, so that no text is served by its own counts. Belady's policies read the texts
/// twice. Memory does not depend on how many texts there are. Throws UsageError, InterruptedError
/// and what the texts throw.
SweepResult sweep(const trace::Geometry& geometry, TextSource& texts, const SweepOptions& options,
                  const RunContext& run = silent_run());

}  // namespace foregate::offload
