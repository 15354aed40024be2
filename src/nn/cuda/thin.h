#pragma once

#include <torch/types.h>

#include "nn/experts.h"
#include "nn/mlp.h"
#include "nn/rms_norm.h"
#include "nn/rope.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

// Products of few rows, from the weights' codes: see kernels/thin/thin.h.

/// Whether the thin products take these rows and this matrix: few of them, bfloat16, whole 16
/// bytes.
bool has_thin_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight);

/// Whether a product of these rows and this matrix normalises them by the way: a single one, not
/// too wide.
bool normalizes_in_thin_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight);

/// x * weight^T + bias, normalised rows of x if there is a norm; the first heads are rotated.
struct RotatedThinLinear {
  const tensor::Weight& weight;    ///< [N, K]
  const torch::Tensor& bias;       ///< [N], or undefined
  const RowsBeforeNorm& x;         ///< [T, K]
  const torch::Tensor& positions;  ///< [T] int64
  const RotaryAngles& angles;      ///< of all positions
  int64_t heads = 0;               ///< to rotate
  int64_t head_dim = 0;            ///< a multiple of 16
};
torch::Tensor thin_rotated_linear_cuda(const RotatedThinLinear& linear);  // -> [T, N]

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
                           const torch::Tensor& shared_gate, const RowsBeforeNorm& before);

}  // namespace foregate::nn
