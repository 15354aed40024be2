#pragma once

#include <torch/types.h>

#include "predict/predictor.h"
#include "predict/routed_texts.h"

namespace foregate {

/// Turns scores into probabilities that an expert is among the k:
///   p(e) = sigmoid(scale * score(e) + shared * logsumexp(scores) + offset)
/// Platt's (1999) map with one more weight, for scores that are only known up to a constant a
/// decision, as those of a log-linear mixture. The identity suits scores that are logits already.
struct Calibration {
  double scale = 1;
  double shared = 0;
  double offset = 0;

  torch::Tensor probabilities(const torch::Tensor& scores) const;  // [..., E] -> [..., E] float32
};

/// The map under which the predictor's scores of some validation texts are likeliest; the identity
/// if there are none.
Calibration fit_calibration(const Predictor& predictor, const RoutedTexts& corpus);

/// The same from scores and truth.
Calibration fit_calibration(const torch::Tensor& scores,   // [n, E] float32
                            const torch::Tensor& chosen);  // [n, E] float32, multi-hot

}  // namespace foregate
