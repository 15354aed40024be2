#pragma once

#include <span>

#include "predict/predictor_layout.h"

namespace foregate::capi {

/// Turns the scores of one decision into probabilities that an expert is among the k; see
/// Calibration.
void to_probabilities(const Calibration& calibration, std::span<float> scores);  // [E], in place

}  // namespace foregate::capi
