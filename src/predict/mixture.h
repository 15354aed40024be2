#pragma once

#include <torch/types.h>

namespace foregate {

/// The weights of a log-linear mixture, softmax(evidence * weights), that give the chosen experts
/// (ranked, the first one counted twice) the highest likelihood. Convex; found by L-BFGS from
/// `start`, to which a slight ridge pulls.
torch::Tensor fit_log_linear(const torch::Tensor& evidence,  // [n, E, F] float32
                             const torch::Tensor& experts,   // [n, k] int64, ranked
                             const torch::Tensor& start);    // [F] float32 -> [F] float32

}  // namespace foregate
