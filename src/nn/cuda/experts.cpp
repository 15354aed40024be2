#include "nn/cuda/experts.h"

#include <torch/types.h>

#include "nn/cuda/expert_rows.h"
#include "nn/cuda/grouped_linear.h"
#include "nn/linear.h"

namespace foregate::nn {
namespace {

// Rows of whole 16 bytes before, between and behind the two products.
bool has_grouped_product(const torch::Tensor& x, const ExpertWeights& weights) {
  return x.scalar_type() == torch::kBFloat16 && weights.is_plain() &&
         weights.gate_up.size(2) % 8 == 0 && weights.down.size(2) % 8 == 0;
}

// One product over all experts, then one more.
torch::Tensor grouped_outputs(const torch::Tensor& x, const ExpertOrder& order,
                              const ExpertWeights& weights) {
  const torch::Tensor inner =
      grouped_linear_cuda(x, {.weight = compute_weight(weights.gate_up, x.scalar_type()),
                              .ends = order.ends,
                              .order = &order,
                              .silu_product = true});
  return grouped_linear_cuda(
      inner, {.weight = compute_weight(weights.down, x.scalar_type()), .ends = order.ends});
}

// What the grouped product does not take, a library's products expert by expert: the host waits for
// the numbers of rows.
torch::Tensor outputs_by_expert(const torch::Tensor& x, const ExpertOrder& order,
                                const ExpertWeights& weights) {
  const torch::Tensor rows = dispatch_rows_cuda(x, order.slots);
  torch::Tensor outputs = torch::empty_like(rows);
  const torch::Tensor ends = order.ends.cpu();
  const auto* end = ends.const_data_ptr<int32_t>();
  for (int64_t expert = 0, first = 0; expert < ends.size(0); first = end[expert++]) {
    const int64_t count = end[expert] - first;
    if (count == 0) continue;
    const auto bias = [&](const torch::Tensor& all) { return all.defined() ? all[expert] : all; };
    const torch::Tensor gate_up =
        linear(rows.narrow(0, first, count), weights.gate_up[expert], bias(weights.gate_up_bias));
    outputs.narrow(0, first, count)
        .copy_(linear(gated_product(gate_up, weights.activation), weights.down[expert],
                      bias(weights.down_bias)));
  }
  return outputs;
}

}  // namespace

void add_experts_cuda(torch::Tensor& residual, const torch::Tensor& x, const Routing& routing,
                      const ExpertWeights& weights) {
  const ExpertOrder order = sort_by_expert_cuda(routing.experts, weights.gate_up.size(0));
  const torch::Tensor outputs = has_grouped_product(x, weights)
                                    ? grouped_outputs(x, order, weights)
                                    : outputs_by_expert(x, order, weights);
  combine_rows_cuda(residual, outputs, order.slots, routing.gate_weights);
}

}  // namespace foregate::nn
