#pragma once

#include "base/run_context.h"
#include "collect/options.h"
#include "collect/stage_times.h"
#include "trace/manifest.h"

namespace foregate::collect {

struct CollectSummary {
  trace::Manifest manifest;
  bool already_complete = false;  ///< nothing was left to do
  int64_t resumed_traces = 0;     ///< kept from an earlier run
  double seconds = 0;             ///< of this run, loading included
  StageTimes stages;
};

/// Runs texts through a model and writes its routing traces. Reading and tokenising, the forward
/// pass, and encoding and writing run at the same time, joined by bounded queues. Stopped at any
/// moment and called again with the same options it continues and ends with the same files. Throws
/// the errors of its parts, and InterruptedError after an orderly stop.
CollectSummary collect(const CollectOptions& options, const RunContext& run = silent_run());

}  // namespace foregate::collect
