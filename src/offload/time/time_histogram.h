#pragma once

#include <cstdint>
#include <vector>

namespace foregate::offload {

/// Durations, kept to 1% each, however many there are.
class TimeHistogram {
 public:
  void add(double seconds);
  int64_t count() const { return count_; }
  double mean() const;  ///< exact; NaN without any
  /// The duration that the share of all does not exceed, to 1%; NaN without any. 0 < share <= 1.
  double percentile(double share) const;

 private:
  std::vector<int64_t> bins_;
  int64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace foregate::offload
