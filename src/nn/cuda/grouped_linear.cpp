#include "nn/cuda/grouped_linear.h"

#include <torch/types.h>

#include "kernels/gemm/grouped_gemm.h"
#include "nn/cuda/activation.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {
namespace {

bool has_fused_gemm(const torch::Tensor& x) {
  return kernels::has_fused_gemm(x.device().index());
}

const float* scales_or_null(const torch::Tensor& scales) {
  return scales.defined() ? scales.const_data_ptr<float>() : nullptr;
}

}  // namespace

bool has_grouped_linear_cuda(const torch::Tensor& x, const torch::Tensor& weight) {
  return x.is_cuda() && x.scalar_type() == torch::kBFloat16 &&
         weight.scalar_type() == torch::kBFloat16 && x.is_contiguous() && weight.is_contiguous() &&
         kernels::can_run({.x = x.const_data_ptr(),
                           .weight = weight.const_data_ptr(),
                           .rows = x.size(0),
                           .groups = weight.dim() == 3 ? weight.size(0) : 1,
                           .n = weight.size(-2),
                           .k = weight.size(-1)});
}

torch::Tensor grouped_linear_cuda(const torch::Tensor& x, const GroupedLinear& linear) {
  const bool gathers = linear.order != nullptr && has_fused_gemm(x);
  const bool copies = linear.order != nullptr && !gathers;
  const torch::Tensor rows = copies ? dispatch_rows_cuda(x, linear.order->slots) : x;
  const int64_t count = gathers ? linear.order->tokens.size(0) : rows.size(0);
  const int64_t n = linear.weight.size(-2);
  torch::Tensor result = linear.out;
  if (!result.defined()) {
    result = torch::empty({count, linear.silu_product ? n / 2 : n}, x.options());
  }
  const kernels::GroupedGemm problem{
      .x = rows.const_data_ptr(),
      .x_rows = gathers ? linear.order->tokens.const_data_ptr<int32_t>() : nullptr,
      .weight = linear.weight.const_data_ptr(),
      .ends = linear.ends.defined() ? linear.ends.const_data_ptr<int32_t>() : nullptr,
      .matrices = linear.matrices.defined() ? linear.matrices.const_data_ptr<int32_t>() : nullptr,
      .stacked = linear.weight.dim() == 3 ? linear.weight.size(0) : 1,
      .out = result.mutable_data_ptr(),
      .rows = count,
      .groups = linear.ends.defined() ? linear.ends.size(0) : 1,
      .n = n,
      .k = x.size(1),
      .silu_product = linear.silu_product,
      .row_scale = scales_or_null(linear.row_scale)};
  on_stream_of(x, [&](cudaStream_t stream) { return kernels::grouped_gemm(problem, stream); });
  return result;
}

bool has_rotated_linear_cuda(const torch::Tensor& x, const RotatedLinear& linear) {
  return has_grouped_linear_cuda(x, linear.weight) && has_fused_gemm(x) &&
         linear.weight.size(0) % kernels::kRotatedHeadSize == 0 &&
         linear.angles.cos.scalar_type() == x.scalar_type() &&
         2 * linear.angles.cos.size(1) == kernels::kRotatedHeadSize;
}

torch::Tensor rotated_linear_cuda(const torch::Tensor& x, const RotatedLinear& linear) {
  torch::Tensor result = torch::empty({x.size(0), linear.weight.size(0)}, x.options());
  const kernels::GroupedGemm problem{
      .x = x.const_data_ptr(),
      .weight = linear.weight.const_data_ptr(),
      .out = result.mutable_data_ptr(),
      .rows = x.size(0),
      .n = linear.weight.size(0),
      .k = x.size(1),
      .rotation = {.positions = linear.positions.const_data_ptr<int64_t>(),
                   .cos = linear.angles.cos.const_data_ptr(),
                   .sin = linear.angles.sin.const_data_ptr(),
                   .columns = linear.heads * kernels::kRotatedHeadSize},
      .bias = linear.bias.defined() ? linear.bias.const_data_ptr() : nullptr};
  on_stream_of(x, [&](cudaStream_t stream) { return kernels::grouped_gemm(problem, stream); });
  return result;
}

torch::Tensor silu_linear_cuda(const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& row_scale) {
  if (has_grouped_linear_cuda(x, weight) && weight.size(0) % 16 == 0 && has_fused_gemm(x)) {
    return grouped_linear_cuda(x, {.weight = weight, .silu_product = true, .row_scale = row_scale});
  }
  return silu_product_cuda(at::linear(x, weight), row_scale);
}

}  // namespace foregate::nn
