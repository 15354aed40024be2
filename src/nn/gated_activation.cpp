#include "nn/gated_activation.h"

#include <torch/types.h>

#include "nn/mlp.h"

namespace foregate::nn {
namespace {

torch::Tensor clamped_swiglu(const torch::Tensor& gate_up, double limit, double alpha) {
  const int64_t half = gate_up.size(1) / 2;
  const torch::Tensor gate = gate_up.narrow(1, 0, half).clamp_max(limit);
  const torch::Tensor up = gate_up.narrow(1, half, half).clamp(-limit, limit).add_(1);
  return (gate * alpha).sigmoid_().mul_(gate).mul_(up);
}

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind that is not here does not compile

torch::Tensor gated_product(const torch::Tensor& gate_up, const GatedActivation& activation) {
  switch (activation.kind) {
    case GatedActivation::Kind::kSwiglu:
      return silu_and_multiply(gate_up);
    case GatedActivation::Kind::kClampedSwiglu:
      TORCH_CHECK(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0, "gated_product: rows are ",
                  gate_up.sizes(), "; expected [T, 2I]");
      return clamped_swiglu(gate_up, activation.limit, activation.alpha);
  }
  __builtin_unreachable();
}

#pragma GCC diagnostic pop

}  // namespace foregate::nn
