#include "nn/cuda/expert_rows.h"

#include <torch/types.h>

#include "kernels/routing/routing.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {
namespace {

// For more experts than the kernel holds.
ExpertOrder sort_by_many_experts(const torch::Tensor& chosen, int64_t num_experts) {
  const auto [experts, pairs] =
      chosen.reshape(-1).sort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  const torch::Tensor place = torch::arange(chosen.numel(), chosen.options().dtype(torch::kInt32));
  const torch::Tensor numbers = torch::arange(num_experts, chosen.options());
  return {torch::empty_like(place).index_copy_(0, pairs, place).view(chosen.sizes()),
          pairs.floor_divide(chosen.size(1)).to(torch::kInt32),
          at::searchsorted(experts, numbers, /*out_int32=*/true, /*right=*/true)};
}

}  // namespace

ExpertOrder sort_by_expert_cuda(const torch::Tensor& chosen, int64_t num_experts) {
  if (num_experts > kernels::kMaxSortedExperts) return sort_by_many_experts(chosen, num_experts);
  const auto options = chosen.options().dtype(torch::kInt32);
  ExpertOrder order{torch::empty(chosen.sizes(), options), torch::empty({chosen.numel()}, options),
                    torch::empty({num_experts}, options)};
  torch::Tensor workspace =
      torch::empty({kernels::expert_sort_workspace(chosen.numel(), num_experts)}, options);
  on_stream_of(chosen, [&](cudaStream_t stream) {
    return kernels::expert_sort(
        chosen.const_data_ptr<int64_t>(), order.slots.mutable_data_ptr<int32_t>(),
        order.tokens.mutable_data_ptr<int32_t>(), order.ends.mutable_data_ptr<int32_t>(),
        workspace.mutable_data_ptr<int32_t>(), chosen.numel(), chosen.size(1), num_experts, stream);
  });
  return order;
}

torch::Tensor dispatch_rows_cuda(const torch::Tensor& x, const torch::Tensor& slots) {
  torch::Tensor rows = torch::empty({slots.numel(), x.size(1)}, x.options());
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::dispatch_rows(x.const_data_ptr(), slots.const_data_ptr<int32_t>(),
                                  rows.mutable_data_ptr(), x.size(0), slots.size(1), x.size(1),
                                  kernel_dtype(x), stream);
  });
  return rows;
}

void combine_rows_cuda(torch::Tensor& residual, const torch::Tensor& outputs,
                       const torch::Tensor& slots, const torch::Tensor& gate_weights) {
  on_stream_of(residual, [&](cudaStream_t stream) {
    return kernels::combine_rows(outputs.const_data_ptr(), slots.const_data_ptr<int32_t>(),
                                 gate_weights.const_data_ptr<float>(), residual.mutable_data_ptr(),
                                 residual.size(0), slots.size(1), residual.size(1),
                                 kernel_dtype(residual), stream);
  });
}

}  // namespace foregate::nn
