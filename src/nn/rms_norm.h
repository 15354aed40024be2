#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// x / sqrt(mean(x^2) + epsilon), in float32, rounded to x's dtype, then times weight
/// (Zhang and Sennrich 2019; the order of rounding is that of transformers).
torch::Tensor rms_norm(const torch::Tensor& x,       // [T, H] compute dtype
                       const torch::Tensor& weight,  // [H] compute dtype
                       double epsilon);              // -> [T, H] compute dtype

}  // namespace foregate::nn
