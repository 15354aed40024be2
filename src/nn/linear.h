#pragma once

#include <torch/types.h>

#include "nn/packed_weight.h"

namespace foregate::nn {

/// x * weight^T + bias. In float32 on the CPU the weight is kept packed for our own kernel
/// (gemm_kernel.h); elsewhere ATen multiplies.
class Linear {
 public:
  Linear() = default;
  explicit Linear(const torch::Tensor& weight,      // [N, K] compute dtype
                  const torch::Tensor& bias = {});  // [N] or undefined

  torch::Tensor forward(const torch::Tensor& x) const;  // [T, K] -> [T, N]
  /// sum += forward(x), without the product in between. Not for layers with a bias.
  void add_to(torch::Tensor& sum,             // [T, N]
              const torch::Tensor& x) const;  // [T, K]

 private:
  void multiply_tiles(const torch::Tensor& x, torch::Tensor& out, GemmEpilogue epilogue) const;

  PackedWeight packed_;
  torch::Tensor weight_;  ///< unless packed
  torch::Tensor bias_;
};

}  // namespace foregate::nn
