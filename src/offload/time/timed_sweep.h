#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "offload/time/timed_replay.h"

namespace foregate::offload {

/// One configuration to run against the clock.
struct TimedCell {
  TimedOptions options;
  /// Makes what foresees; empty: nothing does.
  std::function<std::unique_ptr<Foresight>()> foresight;
  TimelineSpan timeline;       ///< of its first steps; may be empty
  int64_t timeline_steps = 0;  ///< how many
};

struct TimedOutcome {
  std::string impossible;  ///< why there is no result; else empty
  TimedResult result;
};

struct TimedSweepOptions {
  ScheduleOptions schedule;
  int threads = 1;
  int64_t expected_tokens = 0;  ///< of all texts, for progress; 0: not known
};

/// Runs every configuration over all texts, each by itself and `threads` at a time; every one opens
/// the texts anew. Throws InterruptedError and what the texts throw.
std::vector<TimedOutcome> timed_sweep(
    const trace::Geometry& geometry, const std::function<std::unique_ptr<TextSource>()>& open_texts,
    const std::vector<TimedCell>& cells, const TimedSweepOptions& options,
    const RunContext& run = silent_run());

}  // namespace foregate::offload
