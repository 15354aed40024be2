#pragma once

#include <vector>

#include "stats/clustered_usage.h"

namespace foregate::stats {

/// How much likelier something is here than there.
struct LogOdds {
  double value = 0;  ///< natural logarithm of the odds ratio
  double error = 0;  ///< its standard error
  double z = 0;
  double p = 1;  ///< two-sided, from the normal distribution
};

/// Compares two independent shares: log(odds here / odds there), half a token added on each side
/// (Haldane 1956), with the error that the delta method makes of their variances:
/// var(log odds) = var(p) / (p (1 - p))^2. NaN and p = 1 if either has no tokens.
LogOdds log_odds_ratio(const Share& here, const Share& there);

/// Benjamini and Hochberg (1995): q values in the order of `p`. Those below 0.05 are discoveries of
/// which about 5% are false.
std::vector<double> false_discovery_rates(const std::vector<double>& p);

}  // namespace foregate::stats
