#pragma once

#include <torch/types.h>

#include "tensor/weight/weight.h"

namespace foregate::nn {

/// The weight as a matrix product takes it: itself if it is kept in this dtype, otherwise
/// dequantised into scratch that lives as long as the result. The one place where quantised weights
/// meet the forward pass.
torch::Tensor compute_weight(const tensor::Weight& weight,  // [rows, N] or [E, rows, N]
                             torch::ScalarType dtype);      // -> of the same shape

/// x * weight^T + bias.
torch::Tensor linear(const torch::Tensor& x,           // [T, N] compute dtype
                     const tensor::Weight& weight,     // [M, N]
                     const torch::Tensor& bias = {});  // [M], or undefined -> [T, M]

/// The same in float32: on a GPU, of few rows, as it was added up; otherwise rounded before.
torch::Tensor linear_in_float(const torch::Tensor& x,           // [T, N] compute dtype
                              const tensor::Weight& weight,     // [M, N]
                              const torch::Tensor& bias = {});  // [M], or undefined -> [T, M]

/// residual += x * weight^T + bias. On a GPU the addition is part of the product, so that the
/// residual stream is read and written once.
void add_linear(torch::Tensor& residual,          // [T, M] compute dtype
                const torch::Tensor& x,           // [T, N]
                const tensor::Weight& weight,     // [M, N]
                const torch::Tensor& bias = {});  // [M], or undefined

}  // namespace foregate::nn
