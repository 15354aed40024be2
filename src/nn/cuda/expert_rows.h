#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::nn {

/// Where the k rows of each token lie when rows are sorted by expert.
struct ExpertOrder {
  torch::Tensor slots;   ///< [T, k] int32
  torch::Tensor tokens;  ///< [T * k] int32: the token of each row
  torch::Tensor ends;    ///< [E] int32: end of each expert's rows
};

/// A stable sort, without the host knowing how many rows each expert has.
ExpertOrder sort_by_expert_cuda(const torch::Tensor& chosen,  // [T, k] int64
                                int64_t num_experts);

torch::Tensor dispatch_rows_cuda(const torch::Tensor& x,       // [T, H]
                                 const torch::Tensor& slots);  // [T, k] -> [T * k, H]

/// residual[t] += sum over i of gate_weights[t, i] * outputs[slots[t, i]], in float32 and in rank
/// order, rounded once.
void combine_rows_cuda(torch::Tensor& residual,             // [T, H]
                       const torch::Tensor& outputs,        // [T * k, H]
                       const torch::Tensor& slots,          // [T, k] int32
                       const torch::Tensor& gate_weights);  // [T, k] float32

}  // namespace foregate::nn
