#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::predict {

/// a * b for each layer, computed in `dtype`, returned in float32; differentiable in both.
torch::Tensor layer_matmul(const torch::Tensor& a,    // [L, n, i]
                           const torch::Tensor& b,    // [L, i, j]
                           torch::ScalarType dtype);  // -> [L, n, j] float32

/// a^T * gradient for each layer. It sums over all n tokens into few results: one by one these
/// leave most of a GPU idle, so that there it is computed for `pieces` of the tokens and then added
/// up.
torch::Tensor weight_gradient(const torch::Tensor& a,         // [L, n, i]
                              const torch::Tensor& gradient,  // [L, n, j], of a's dtype
                              int64_t pieces);                // divides n; -> [L, i, j] float32

/// How many pieces give a GPU enough to do; 1 if n cannot be halved.
int64_t weight_gradient_pieces(int64_t layers, int64_t n, int64_t i, int64_t j);

}  // namespace foregate::predict
