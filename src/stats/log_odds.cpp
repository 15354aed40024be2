#include "stats/log_odds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace foregate::stats {
namespace {

struct Odds {
  double log = 0;
  double variance = 0;
};

Odds log_odds(const Share& share) {
  const double p = (share.chosen + 0.5) / (share.tokens + 1);
  return {std::log(p / (1 - p)), share.variance / std::pow(p * (1 - p), 2)};
}

}  // namespace

LogOdds log_odds_ratio(const Share& here, const Share& there) {
  LogOdds ratio;
  if (here.tokens == 0 || there.tokens == 0) {
    ratio.value = ratio.error = ratio.z = std::numeric_limits<double>::quiet_NaN();
    return ratio;
  }
  const Odds a = log_odds(here);
  const Odds b = log_odds(there);
  ratio.value = a.log - b.log;
  ratio.error = std::sqrt(a.variance + b.variance);
  ratio.z = ratio.value / ratio.error;
  ratio.p = std::erfc(std::abs(ratio.z) / std::sqrt(2.0));
  return ratio;
}

std::vector<double> false_discovery_rates(const std::vector<double>& p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> rates(p.size());
  double lowest = 1;
  for (size_t rank = order.size(); rank > 0; --rank) {
    const size_t index = order[rank - 1];
    lowest = std::min(lowest, p[index] * static_cast<double>(p.size()) / static_cast<double>(rank));
    rates[index] = lowest;
  }
  return rates;
}

}  // namespace foregate::stats
