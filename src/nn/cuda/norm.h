#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// See nn/rms_norm.h.
torch::Tensor rms_norm_cuda(const torch::Tensor& x,       // [T, H]
                            const torch::Tensor& weight,  // [H]
                            double epsilon);              // -> [T, H]

/// See nn/gather_rms_norm.h.
torch::Tensor gather_rms_norm_cuda(const torch::Tensor& states,  // [N, L, H]
                                   const torch::Tensor& tokens,  // [B] int64
                                   double epsilon,
                                   torch::ScalarType dtype);  // -> [L, B, H] dtype

}  // namespace foregate::nn
