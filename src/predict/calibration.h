#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "predict/predictor.h"
#include "predict/texts/routed_texts.h"
#include "scoring/predictor_format.h"

namespace foregate::predict {

/// The probabilities that a calibration makes of scores.
torch::Tensor calibrated(const scoring::Calibration& calibration,
                         const torch::Tensor& scores);  // [..., E] -> [..., E] float32

/// For each predictor the map under which its scores of some validation texts are likeliest, in one
/// pass over them; nothing if there are none. If one of the predictors reads hidden states, texts
/// that have them.
std::vector<std::optional<scoring::Calibration>> fit_calibrations(
    const std::vector<const Predictor*>& predictors, const RoutedTexts& corpus);

/// The likeliest map; the identity if there are no decisions.
scoring::Calibration fit_calibration(const torch::Tensor& scores,   // [n, E] float32
                                     const torch::Tensor& chosen);  // [n, E] float32, multi-hot

}  // namespace foregate::predict
