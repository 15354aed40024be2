#include "nn/residual.h"

#include <torch/types.h>

#include "nn/cuda_ops.h"
#include "nn/linear.h"

namespace foregate::nn {
namespace {

// Rows of whole 16 bytes before, between and behind the two products.
bool has_grouped_product(const torch::Tensor& x, const ExpertWeights& weights) {
  return kCudaKernels && x.is_cuda() && x.scalar_type() == torch::kBFloat16 &&
         weights.gate_up.size(2) % 8 == 0 && weights.down.size(2) % 8 == 0;
}

// Rows sorted by expert without the host knowing how many each has: one grouped product over all
// experts, then each token adds up its rows.
[[maybe_unused]] void add_experts_grouped(torch::Tensor& residual, const torch::Tensor& x,
                                          const Routing& routing, const ExpertWeights& weights) {
  const ExpertOrder order = sort_by_expert_cuda(routing.experts, weights.gate_up.size(0));
  const bool gathers = is_hopper_cuda(x);
  const torch::Tensor inner =
      grouped_linear_cuda(gathers ? x : dispatch_rows_cuda(x, order.slots),
                          {.weight = compute_weight(weights.gate_up, x.scalar_type()),
                           .x_rows = gathers ? order.tokens : torch::Tensor(),
                           .ends = order.ends,
                           .silu_product = true});
  const torch::Tensor outputs = grouped_linear_cuda(
      inner, {.weight = compute_weight(weights.down, x.scalar_type()), .ends = order.ends});
  combine_rows_cuda(residual, outputs, order.slots, routing.gate_weights);
}

// silu(gate) * up of an MLP, each row times its scale if there are scales.
[[maybe_unused]] torch::Tensor inner_rows_cuda(const torch::Tensor& x, const tensor::Weight& weight,
                                               const torch::Tensor& row_scale) {
  const torch::Tensor gate_up = compute_weight(weight, x.scalar_type());
  if (has_grouped_linear_cuda(x, gate_up) && gate_up.size(0) % 16 == 0 && is_hopper_cuda(x)) {
    return grouped_linear_cuda(x,
                               {.weight = gate_up, .silu_product = true, .row_scale = row_scale});
  }
  return silu_product_cuda(at::linear(x, gate_up), row_scale);
}

}  // namespace

void add_linear(torch::Tensor& residual, const torch::Tensor& x, const tensor::Weight& weight) {
  if (x.is_cuda()) {
    residual.addmm_(x, compute_weight(weight, x.scalar_type()).t());
  } else {
    residual.add_(linear(x, weight));
  }
}

void add_mlp(torch::Tensor& residual, const torch::Tensor& x, const MlpWeights& weights,
             const torch::Tensor& gate) {
  if constexpr (kCudaKernels) {
    if (x.is_cuda()) {
      // Scaling the inner rows is scaling the output.
      const torch::Tensor scale = gate.defined() ? sigmoid_gate_cuda(x, gate) : torch::Tensor();
      const torch::Tensor inner = inner_rows_cuda(x, weights.gate_up, scale);
      residual.addmm_(inner, compute_weight(weights.down, x.scalar_type()).t());
      return;
    }
  }
  torch::Tensor result = mlp(x, weights);
  if (gate.defined()) {
    residual.addcmul_(result, at::linear(x, gate).sigmoid_());
  } else {
    residual.add_(result);
  }
}

void add_experts(torch::Tensor& residual, const torch::Tensor& x, const Routing& routing,
                 const ExpertWeights& weights) {
  if constexpr (kCudaKernels) {
    if (has_grouped_product(x, weights)) {
      add_experts_grouped(residual, x, routing, weights);
      return;
    }
  }
  residual.add_(experts(x, routing, weights));
}

}  // namespace foregate::nn
