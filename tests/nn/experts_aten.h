#pragma once

#include <torch/types.h>

#include "nn/experts.h"
#include "nn/linear.h"
#include "nn/mlp.h"

namespace foregate::testing {

/// The experts by ATen alone, on any device: pairs sorted by expert, one product an expert, added
/// up in float32. What add_experts is compared with.
inline torch::Tensor experts_aten(const torch::Tensor& x,            // [T, H]
                                  const nn::Routing& routing,        // of the same T tokens
                                  const nn::ExpertWeights& weights)  // -> [T, H]
{
  const int64_t num_experts = weights.gate_up.size(0);
  const int64_t k = routing.experts.size(1);
  const torch::Tensor chosen = routing.experts.reshape(-1);
  const torch::Tensor slots =
      std::get<1>(chosen.sort(/*stable=*/true, /*dim=*/0, /*descending=*/false));
  const torch::Tensor counts = torch::bincount(chosen, {}, num_experts).cpu();
  const torch::Tensor inputs = x.index_select(0, slots.floor_divide(k));
  torch::Tensor outputs = torch::empty_like(inputs);
  int64_t first = 0;
  for (int64_t expert = 0; expert < num_experts; ++expert) {
    const int64_t count = counts[expert].item<int64_t>();
    if (count == 0) continue;
    const torch::Tensor inner =
        nn::silu_and_multiply(nn::linear(inputs.narrow(0, first, count), weights.gate_up[expert]));
    outputs.narrow(0, first, count).copy_(nn::linear(inner, weights.down[expert]));
    first += count;
  }
  const torch::Tensor by_pair = torch::empty_like(outputs).index_copy_(0, slots, outputs);
  const torch::Tensor ranked = by_pair.view({x.size(0), k, x.size(1)}).to(torch::kFloat32);
  return (ranked * routing.gate_weights.unsqueeze(-1)).sum(1).to(x.scalar_type());
}

}  // namespace foregate::testing
