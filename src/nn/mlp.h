#pragma once

#include <torch/types.h>

#include "tensor/weight/weight.h"

namespace foregate::nn {

/// A gated MLP: down * (silu(gate * x) * (up * x)).
struct MlpWeights {
  tensor::Weight gate_up;  ///< [2I, H]: gate rows, then up rows
  tensor::Weight down;     ///< [H, I]
};

/// silu of the first half of each row times the second half (SwiGLU, Shazeer 2020).
torch::Tensor silu_and_multiply(const torch::Tensor& gate_up);  // [T, 2I] -> [T, I]

torch::Tensor mlp(const torch::Tensor& x,      // [T, H]
                  const MlpWeights& weights);  // -> [T, H]

/// residual += mlp(x), times sigmoid(x * gate) if there is a gate.
void add_mlp(torch::Tensor& residual,                                     // [T, H] compute dtype
             const torch::Tensor& x,                                      // [T, H]
             const MlpWeights& weights, const torch::Tensor& gate = {});  // [1, H], or undefined

}  // namespace foregate::nn
