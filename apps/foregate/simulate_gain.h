#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"
#include "report/simulation.h"
#include "simulate_options.h"
#include "stats/evaluation/evaluation.h"

namespace CLI {
class App;
}

namespace foregate {

// What other commands tell of caches: `analyze` in its report, `evaluate` beside recall. Both
// simulate lrfu-8, the best of the policies that need no look into the future on the traces we
// have.

/// Those that can be replayed on a trace of routing: directories that train wrote, without those
/// that read hidden states. Says of the others why not.
std::vector<std::string> replayable(const std::vector<std::string>& predictors,
                                    const trace::Geometry& geometry, const RunContext& run);

/// Throws UsageError or DataError for hardware that is not known, UsageError if nothing tells the
/// size of an expert: before anything that takes long. `option` names the card.
void check_hardware(const std::string& option, const SimulateArguments& arguments,
                    const RunContext& run);

/// For the report: hits of some policies at many sizes and, with arguments.hardware, the time of
/// each size on demand, by an oracle and by arguments.predictors. Leaves out what cannot be.
report::Simulation simulate_for_report(SimulateArguments arguments, const RunContext& run);

/// What prefetching by a predictor saves.
struct Gain {
  std::string predictor;  ///< empty: on demand
  std::string lead;
  double recall = 0;  ///< at k; NaN of what was not evaluated
  double tokens_per_second = 0;
  double stall_saved = 0;  ///< of the time that the card waits for experts on demand; below 0: lost
  double wasted_share = 0;  ///< of the bytes moved
};

/// On demand, an oracle and arguments.predictors, in one cache of arguments.budgets each.
std::vector<Gain> measure_gains(SimulateArguments arguments, const stats::Evaluation& evaluation,
                                const RunContext& run);
std::string gain_table(const std::vector<Gain>& gains, int top_k);
Json gain_json(const std::vector<Gain>& gains);

}  // namespace foregate
