#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace foregate::stats {

/// Pairs whose stated probabilities are alike: a point of a reliability diagram.
struct ReliabilityBin {
  int64_t pairs = 0;
  double stated = 0;  ///< mean probability
  double chosen = 0;  ///< share of the pairs whose expert was among the k
};

/// How well stated probabilities hold, over (decision, expert) pairs: each expert either is among a
/// decision's k or is not. Sums, so that parts can be added.
class ConfidenceScore {
 public:
  static constexpr int kBins = 20;  ///< of equal width over [0, 1]

  /// `threshold`: fetch every expert whose probability is at least this.
  explicit ConfidenceScore(double threshold = 1) : threshold_(threshold) {}

  /// One decision: the probability of each expert [E] to be chosen; the experts chosen [k].
  void add(std::span<const float> probabilities, std::span<const uint16_t> experts);
  void add(const ConfidenceScore& other);

  /// Expected calibration error: mean over pairs of |stated - true share| of the pair's bin (Guo
  /// and others 2017). 0 without decisions.
  double calibration_error() const;
  /// The bins that hold any pairs, in order.
  std::vector<ReliabilityBin> reliability() const;
  /// Experts fetched a decision, and the share of the true ones among them, at the threshold.
  double mean_fetched() const;
  double recall() const;
  double threshold() const { return threshold_; }

 private:
  struct Bin {
    double pairs = 0;
    double stated = 0;
    double chosen = 0;
  };
  double threshold_;
  std::array<Bin, kBins> bins_{};
  double decisions_ = 0;
  double fetched_ = 0;
  double found_ = 0;
  double wanted_ = 0;
};

}  // namespace foregate::stats
