#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias (Ba et al. 2016), by a library.
torch::Tensor layer_norm(const torch::Tensor& x,       // [T, H] compute dtype
                         const torch::Tensor& weight,  // [H] compute dtype
                         const torch::Tensor& bias,    // [H] compute dtype
                         double epsilon);              // -> [T, H] compute dtype

}  // namespace foregate::nn
