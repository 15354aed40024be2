#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "offload/replay/sweep.h"
#include "simulate_options.h"
#include "simulation.h"

namespace foregate {

/// The tables and the JSON of `simulate`.

/// Hits of every policy and budget, and its misses beside those of Belady's optimum.
std::string hit_tables(const offload::SweepResult& result, const std::vector<Budget>& budgets);
Json sweep_json(const offload::SweepResult& result, const std::vector<Budget>& budgets);

/// Whether all go by the same policy: then the table does not repeat it.
bool one_policy(const std::vector<TimedRow>& rows);
std::string timed_table(const std::vector<TimedRow>& rows);
Json timed_json(const std::vector<TimedRow>& rows);
/// "30% with lrfu-8, oracle-4: 25.1 tokens/s"
std::string row_name(const TimedRow& row);

}  // namespace foregate
