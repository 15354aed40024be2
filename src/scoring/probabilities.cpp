#include "scoring/probabilities.h"

#include <algorithm>
#include <cmath>

namespace foregate::scoring {

void to_probabilities(const Calibration& calibration, std::span<float> scores) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(score - highest);
  const double base = calibration.shared * (highest + std::log(sum)) + calibration.offset;
  for (float& score : scores) {
    score = static_cast<float>(1 / (1 + std::exp(-(calibration.scale * score + base))));
  }
}

}  // namespace foregate::scoring
