#pragma once

#include <string>

#include "stats/evaluation/evaluation.h"

namespace foregate::stats {

/// Plain-text tables for a terminal, percent, grouped by lead: what a person compares predictors
/// by, within 100 columns unless names that would look alike need more. Recall with its interval,
/// the whole set, the gain, and what was asked for (budgets, a threshold, transfers).
std::string evaluation_summary(const Evaluation& evaluation);

/// All that was measured, however wide: every metric with its interval, the experts to fetch, how
/// honest probabilities are, cost.
std::string evaluation_table(const Evaluation& evaluation);

}  // namespace foregate::stats
