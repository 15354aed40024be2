#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "offload/replay/sweep.h"
#include "offload/time/timed_sweep.h"
#include "simulate_options.h"
#include "trace/reader.h"

namespace foregate {

/// One configuration that was run against the clock, by name.
struct TimedRow {
  std::string budget;
  std::string predictor;  ///< empty: on demand
  offload::TimedCell cell;
  offload::TimedOutcome outcome;

  double tokens_per_second() const;  ///< NaN without a result
  /// That the card waited for experts, a step; NaN without a result.
  double mean_stall_seconds() const;
};

/// A trace and the caches to replay it through, as `simulate` is asked: also for the report and for
/// what predictors save.
class Simulation {
 public:
  /// Throws UsageError for what cannot be meant, DataError for a trace without tokens, and what
  /// reading files throws. The arguments must outlive it.
  Simulation(const SimulateArguments& arguments, const RunContext& run);

  const trace::TraceDirectory& traces() const { return traces_; }
  const std::vector<Budget>& budgets() const { return budgets_; }
  const offload::ModelCost& model() const { return model_; }
  const offload::ScheduleOptions& schedule() const { return schedule_; }

  /// What caches of every policy and budget hit. Throws UsageError if there is no such cache.
  offload::SweepResult hits() const;

  /// How long tokens take with each budget and policy: on demand, then with each predictor. `last`
  /// records the first steps of the last one. Throws UsageError as hits() does.
  std::vector<TimedRow> times(const offload::HardwareProfile& hardware,
                              const offload::TimelineSpan& last = {}) const;

 private:
  std::unique_ptr<offload::TextSource> open_texts() const;
  std::vector<TimedRow> make_rows(const offload::HardwareProfile& hardware) const;
  TimedRow make_row(const offload::HardwareProfile& hardware, const Budget& budget,
                    const offload::Policy& policy, const ForesightChoice* choice) const;

  const SimulateArguments& arguments_;
  const RunContext& run_;
  trace::TraceDirectory traces_;
  offload::ModelCost model_;
  offload::ScheduleOptions schedule_;
  Foresights foresights_;
  std::vector<Budget> budgets_;
  std::vector<bool> chosen_;  // of every text whether it is replayed; empty: all
  int threads_ = 1;
  int64_t tokens_ = 0;  // of all texts; 0: not known
};

}  // namespace foregate
