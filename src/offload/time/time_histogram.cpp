#include "offload/time/time_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace foregate::offload {
namespace {

constexpr double kLeast = 1e-9;  // seconds
constexpr double kStep = 1.01;   // from bin to bin

}  // namespace

void TimeHistogram::add(double seconds) {
  const double place = std::log(std::max(seconds, kLeast) / kLeast) / std::log(kStep);
  const auto bin = static_cast<size_t>(place);
  if (bin >= bins_.size()) bins_.resize(bin + 1);
  ++bins_[bin];
  ++count_;
  sum_ += seconds;
}

double TimeHistogram::mean() const {
  return count_ == 0 ? std::numeric_limits<double>::quiet_NaN()
                     : sum_ / static_cast<double>(count_);
}

double TimeHistogram::percentile(double share) const {
  const auto wanted = static_cast<int64_t>(std::ceil(share * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t bin = 0; bin < bins_.size(); ++bin) {
    seen += bins_[bin];
    if (seen >= wanted && seen > 0) return kLeast * std::pow(kStep, static_cast<double>(bin) + 0.5);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace foregate::offload
