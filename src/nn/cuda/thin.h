#pragma once

#include <torch/types.h>

#include "nn/experts.h"
#include "nn/mlp.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

// Products of few rows, from the weights' codes: see kernels/thin/thin.h.

/// Whether the thin products take these rows and this matrix: few of them, bfloat16, whole 16
/// bytes.
bool has_thin_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight);

/// x * weight^T + bias in bfloat16, or in float32 as it was added up.
torch::Tensor thin_linear_cuda(const torch::Tensor& x,        // [T, K]
                               const tensor::Weight& weight,  // [N, K]
                               const torch::Tensor& bias,     // [N], or undefined
                               torch::ScalarType dtype);      // -> [T, N]

/// residual += x * weight^T + bias.
void add_thin_linear_cuda(torch::Tensor& residual, const torch::Tensor& x,
                          const tensor::Weight& weight, const torch::Tensor& bias);

/// silu(gate) * up, each row times its scale if there are scales.
torch::Tensor thin_silu_linear_cuda(const torch::Tensor& x,           // [T, K]
                                    const tensor::Weight& weight,     // [2I, K]
                                    const torch::Tensor& row_scale);  // [T] float32, or undefined

/// Whether add_thin_experts_cuda takes them.
bool has_thin_experts_cuda(const torch::Tensor& x, const ExpertWeights& experts,
                           const MlpWeights& shared);

/// residual += the chosen experts and, if there is one, the shared one: see nn/experts.h.
void add_thin_experts_cuda(torch::Tensor& residual, const torch::Tensor& x, const Routing& routing,
                           const ExpertWeights& experts, const MlpWeights& shared,
                           const torch::Tensor& shared_gate);

}  // namespace foregate::nn
