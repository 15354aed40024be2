#include "nn/mlp.h"

#include <torch/types.h>

#include "nn/cuda/activation.h"
#include "nn/cuda/available.h"
#include "nn/cuda/grouped_linear.h"
#include "nn/cuda/thin.h"
#include "nn/linear.h"

namespace foregate::nn {

torch::Tensor silu_and_multiply(const torch::Tensor& gate_up) {
  TORCH_CHECK(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0, "silu_and_multiply: rows are ",
              gate_up.sizes(), "; expected [T, 2I]");
  const int64_t half = gate_up.size(1) / 2;
  return at::silu(gate_up.narrow(1, 0, half)).mul_(gate_up.narrow(1, half, half));
}

torch::Tensor mlp(const torch::Tensor& x, const MlpWeights& weights) {
  return linear(silu_and_multiply(linear(x, weights.gate_up)), weights.down);
}

void add_mlp(torch::Tensor& residual, const torch::Tensor& x, const MlpWeights& weights,
             const torch::Tensor& gate) {
  if (has_cuda_kernels(x)) {
    // Scaling the inner rows is scaling the output.
    const torch::Tensor scale = gate.defined() ? sigmoid_gate_cuda(x, gate) : torch::Tensor();
    if (has_thin_linear_cuda(x, weights.gate_up)) {
      add_linear(residual, thin_silu_linear_cuda(x, weights.gate_up, scale), weights.down);
      return;
    }
    const torch::Tensor inner =
        silu_linear_cuda(x, compute_weight(weights.gate_up, x.scalar_type()), scale);
    residual.addmm_(inner, compute_weight(weights.down, x.scalar_type()).t());
    return;
  }
  torch::Tensor result = mlp(x, weights);
  if (gate.defined()) {
    residual.addcmul_(result, at::linear(x, gate).sigmoid_());
  } else {
    residual.add_(result);
  }
}

}  // namespace foregate::nn
