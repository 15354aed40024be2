#pragma once

#include <torch/types.h>

#include "nn/experts.h"
#include "nn/mlp.h"
#include "nn/router.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

// What a decoder layer adds to the residual stream, in place. On a GPU the additions are part of
// the products and kernels before them, so that the stream is read and written once for each.

/// residual += x * weight^T.
void add_linear(torch::Tensor& residual,        // [T, H] compute dtype
                const torch::Tensor& x,         // [T, N]
                const tensor::Weight& weight);  // [H, N]

/// residual += mlp(x), times sigmoid(x * gate) if there is a gate.
void add_mlp(torch::Tensor& residual,                                     // [T, H] compute dtype
             const torch::Tensor& x,                                      // [T, H]
             const MlpWeights& weights, const torch::Tensor& gate = {});  // [1, H], or undefined

/// residual += experts(x).
void add_experts(torch::Tensor& residual,  // [T, H] compute dtype
                 const torch::Tensor& x,   // [T, H]
                 const Routing& routing,   // of the same T tokens
                 const ExpertWeights& weights);

}  // namespace foregate::nn
