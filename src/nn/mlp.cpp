#include "nn/mlp.h"

#include <torch/types.h>

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

}  // namespace foregate::nn
