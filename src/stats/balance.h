#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace foregate::stats {

/// Entropy of the distribution that `counts` [E] make, divided by log E: 1 if all experts are used
/// equally, 0 if one takes everything (or there is only one). NaN if nothing was counted.
double normalized_entropy(std::span<const int64_t> counts);

/// Largest count divided by the sum. NaN if nothing was counted.
double busiest_share(std::span<const int64_t> counts);

/// Standard deviation (of the population) of `counts` divided by their mean; the load-balance
/// measure of Shazeer et al. 2017 (section 4, there squared). NaN if nothing was counted.
double coefficient_of_variation(std::span<const int64_t> counts);

/// Gini coefficient: 0 if all are used equally, (E - 1) / E if one takes everything; with x
/// ascending and i from 1, sum of (2 i - E - 1) x_i / (E * sum of x) (Gini 1912). NaN if nothing
/// was counted.
double gini(std::span<const int64_t> counts);

/// Lorenz curve (1905) [E + 1]: the share of all choices that the i least used experts take
/// together, i = 0 to E. Empty if nothing was counted.
std::vector<double> lorenz_curve(std::span<const int64_t> counts);

/// Jensen-Shannon divergence of the two distributions in bits, from 0 (the same) to 1 (disjoint);
/// Lin 1991, equal weights. `a` and `b` have the same length. NaN if either is empty of counts.
double jensen_shannon(std::span<const int64_t> a, std::span<const int64_t> b);

/// Share of the k experts that two independent decisions with this usage have in common, where
/// each expert is chosen on its own with probability k * share: k * sum of share squared. The
/// yardstick for token overlap. NaN if nothing was counted.
double chance_overlap(std::span<const int64_t> counts, int top_k);

}  // namespace foregate::stats
