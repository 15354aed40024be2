#pragma once

#include <span>

#include "scoring/predictor_format.h"

namespace foregate::scoring {

/// Turns the scores of one decision into probabilities that an expert is among the k; see
/// Calibration.
void to_probabilities(const Calibration& calibration, std::span<float> scores);  // [E], in place

}  // namespace foregate::scoring
