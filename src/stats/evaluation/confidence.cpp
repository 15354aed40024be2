#include "stats/evaluation/confidence.h"

#include <algorithm>
#include <cmath>

namespace foregate::stats {

void ConfidenceScore::add(std::span<const float> probabilities, std::span<const uint16_t> experts) {
  const auto bin_of = [](float probability) {
    const int bin = static_cast<int>(probability * kBins);
    return static_cast<size_t>(std::clamp(bin, 0, kBins - 1));
  };
  for (const float probability : probabilities) {
    Bin& bin = bins_[bin_of(probability)];
    bin.pairs += 1;
    bin.stated += probability;
    if (probability >= threshold_) fetched_ += 1;
  }
  for (const uint16_t expert : experts) {
    bins_[bin_of(probabilities[expert])].chosen += 1;
    if (probabilities[expert] >= threshold_) found_ += 1;
  }
  wanted_ += static_cast<double>(experts.size());
  decisions_ += 1;
}

void ConfidenceScore::add(const ConfidenceScore& other) {
  for (size_t i = 0; i < bins_.size(); ++i) {
    bins_[i].pairs += other.bins_[i].pairs;
    bins_[i].stated += other.bins_[i].stated;
    bins_[i].chosen += other.bins_[i].chosen;
  }
  decisions_ += other.decisions_;
  fetched_ += other.fetched_;
  found_ += other.found_;
  wanted_ += other.wanted_;
}

double ConfidenceScore::calibration_error() const {
  double error = 0;
  double pairs = 0;
  for (const Bin& bin : bins_) {
    error += std::abs(bin.stated - bin.chosen);
    pairs += bin.pairs;
  }
  return pairs > 0 ? error / pairs : 0;
}

std::vector<ReliabilityBin> ConfidenceScore::reliability() const {
  std::vector<ReliabilityBin> filled;
  for (const Bin& bin : bins_) {
    if (bin.pairs == 0) continue;
    filled.push_back(
        {static_cast<int64_t>(bin.pairs), bin.stated / bin.pairs, bin.chosen / bin.pairs});
  }
  return filled;
}

double ConfidenceScore::mean_fetched() const {
  return decisions_ > 0 ? fetched_ / decisions_ : 0;
}

double ConfidenceScore::recall() const {
  return wanted_ > 0 ? found_ / wanted_ : 0;
}

}  // namespace foregate::stats
