#pragma once

#include <torch/types.h>

#include "nn/packed_weight.h"

namespace foregate::nn {

/// Weights of a gated MLP: down * (silu(gate * x) * (up * x)).
struct MlpWeights {
  torch::Tensor gate_up;  ///< [2I, H]: gate rows, then up rows
  torch::Tensor down;     ///< [H, I]
};

/// silu of the first half of each row times the second half (SwiGLU, Shazeer 2020).
torch::Tensor silu_and_multiply(const torch::Tensor& gate_up);  // [T, 2I] -> [T, I]

/// A gated MLP that adds its output to the residual stream. In float32 on the CPU it runs tile by
/// tile on packed weights (gemm_kernel.h), elsewhere by ATen.
class Mlp {
 public:
  Mlp() = default;
  explicit Mlp(const MlpWeights& weights);

  /// sum += scale * mlp(x).
  void add_to(torch::Tensor& sum,                      // [T, H]
              const torch::Tensor& x,                  // [T, H]
              const torch::Tensor& scale = {}) const;  // [T, 1] float32, or undefined for 1

 private:
  void add_packed(torch::Tensor& sum, const torch::Tensor& x, const torch::Tensor& scale) const;

  PackedWeight packed_gate_up_;
  PackedWeight packed_down_;
  MlpWeights weights_;  ///< unless packed
};

}  // namespace foregate::nn
