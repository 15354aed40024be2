#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// silu(gate) * up, each row times its scale if there are scales.
torch::Tensor silu_product_cuda(const torch::Tensor& gate_up,     // [N, 2I]
                                const torch::Tensor& row_scale);  // [N] float32, or undefined

/// sigmoid(x * weight).
torch::Tensor sigmoid_gate_cuda(const torch::Tensor& x,        // [T, H]
                                const torch::Tensor& weight);  // [1, H] -> [T] float32

}  // namespace foregate::nn
