#include "nn/cuda_ops.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/dequantize.h"
#include "kernels/gather_rms_norm.h"
#include "kernels/gemm/grouped_gemm.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/routing/routing.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::nn {
namespace {

kernels::DType kernel_dtype(torch::ScalarType dtype) {
  switch (dtype) {
    case torch::kFloat32:
      return kernels::DType::kFloat32;
    case torch::kBFloat16:
      return kernels::DType::kBFloat16;
    case torch::kFloat16:
      return kernels::DType::kFloat16;
    default:
      TORCH_CHECK(false, "no CUDA kernels for ", dtype);
  }
}

kernels::DType kernel_dtype(const torch::Tensor& tensor) {
  return kernel_dtype(tensor.scalar_type());
}

// Calls `launch` with the current stream of the tensor's device.
template <typename Launch>
void on_stream_of(const torch::Tensor& tensor, const Launch& launch) {
  const c10::cuda::CUDAGuard guard(tensor.device());
  C10_CUDA_CHECK(launch(c10::cuda::getCurrentCUDAStream().stream()));
}

// Without a place for the result.
kernels::PackedAttention packed_attention_of(const torch::Tensor& qkv, const PackedTexts& texts,
                                             const AttentionShape& shape) {
  return {.qkv = qkv.const_data_ptr(),
          .cu_seqlens = texts.cu_seqlens_on_device.const_data_ptr<int32_t>(),
          .texts = static_cast<int64_t>(texts.cu_seqlens.size()) - 1,
          .longest = texts.longest,
          .heads = shape.num_heads,
          .kv_heads = shape.num_kv_heads,
          .head_dim = shape.head_dim};
}

}  // namespace

torch::Tensor rms_norm_cuda(const torch::Tensor& x, const torch::Tensor& weight, double epsilon) {
  const torch::Tensor rows = x.contiguous();
  torch::Tensor result = torch::empty_like(rows);
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::rms_norm(rows.const_data_ptr(), weight.const_data_ptr(),
                             result.mutable_data_ptr(), rows.size(0), rows.size(1),
                             static_cast<float>(epsilon), kernel_dtype(x), stream);
  });
  return result;
}

torch::Tensor gather_rms_norm_cuda(const torch::Tensor& states, const torch::Tensor& tokens,
                                   double epsilon, torch::ScalarType dtype) {
  const torch::Tensor rows = states.contiguous();
  const torch::Tensor chosen = tokens.contiguous();
  const int64_t layers = rows.size(1);
  const int64_t batch = chosen.size(0);
  const int64_t hidden = rows.size(2);
  torch::Tensor result = torch::empty({layers, batch, hidden}, rows.options().dtype(dtype));
  on_stream_of(rows, [&](cudaStream_t stream) {
    return kernels::gather_rms_norm(
        {rows.const_data_ptr(), chosen.const_data_ptr<int64_t>(), result.mutable_data_ptr(), layers,
         batch, hidden, static_cast<float>(epsilon)},
        kernel_dtype(rows), kernel_dtype(dtype), stream);
  });
  return result;
}

void rope_cuda(torch::Tensor& rows, const torch::Tensor& positions, const torch::Tensor& cos,
               const torch::Tensor& sin, int64_t heads) {
  on_stream_of(rows, [&](cudaStream_t stream) {
    return kernels::rope(rows.mutable_data_ptr(), positions.const_data_ptr<int64_t>(),
                         cos.const_data_ptr(), sin.const_data_ptr(), rows.size(0), rows.size(1),
                         heads, cos.size(1), kernel_dtype(rows), stream);
  });
}

bool has_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                        const AttentionShape& shape) {
  const bool half = qkv.scalar_type() == torch::kBFloat16 || qkv.scalar_type() == torch::kFloat16;
  return half && qkv.is_cuda() && qkv.is_contiguous() &&
         kernels::can_run(packed_attention_of(qkv, texts, shape), kernel_dtype(qkv));
}

torch::Tensor attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                             const AttentionShape& shape) {
  torch::Tensor result =
      torch::empty({qkv.size(0), shape.num_heads * shape.head_dim}, qkv.options());
  kernels::PackedAttention problem = packed_attention_of(qkv, texts, shape);
  problem.out = result.mutable_data_ptr();
  on_stream_of(qkv, [&](cudaStream_t stream) {
    return kernels::packed_attention(problem, kernel_dtype(qkv), stream);
  });
  return result;
}

torch::Tensor router_logits_cuda(const torch::Tensor& x, const torch::Tensor& weight) {
  const torch::Tensor rows = x.contiguous();
  const torch::Tensor weight_rows = weight.contiguous();
  torch::Tensor logits = torch::empty({x.size(0), weight.size(0)}, weight.options());
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::router_logits(rows.const_data_ptr(), weight_rows.const_data_ptr<float>(),
                                  logits.mutable_data_ptr<float>(), x.size(0), weight.size(0),
                                  x.size(1), kernel_dtype(x), stream);
  });
  return logits;
}

Routing route_cuda(const torch::Tensor& logits, int64_t k, bool norm_topk) {
  const torch::Tensor rows = logits.contiguous();
  Routing routing{torch::empty({rows.size(0), k}, rows.options().dtype(torch::kInt64)),
                  torch::empty({rows.size(0), k}, rows.options())};
  on_stream_of(rows, [&](cudaStream_t stream) {
    return kernels::softmax_topk(rows.const_data_ptr<float>(),
                                 routing.experts.mutable_data_ptr<int64_t>(),
                                 routing.gate_weights.mutable_data_ptr<float>(), rows.size(0),
                                 rows.size(1), k, norm_topk, stream);
  });
  return routing;
}

torch::Tensor silu_product_cuda(const torch::Tensor& gate_up, const torch::Tensor& row_scale) {
  const int64_t inner = gate_up.size(1) / 2;
  torch::Tensor result = torch::empty({gate_up.size(0), inner}, gate_up.options());
  on_stream_of(gate_up, [&](cudaStream_t stream) {
    return kernels::silu_product(
        gate_up.const_data_ptr(), row_scale.defined() ? row_scale.const_data_ptr<float>() : nullptr,
        result.mutable_data_ptr(), gate_up.size(0), inner, kernel_dtype(gate_up), stream);
  });
  return result;
}

torch::Tensor sigmoid_gate_cuda(const torch::Tensor& x, const torch::Tensor& weight) {
  torch::Tensor gate = torch::empty({x.size(0)}, x.options().dtype(torch::kFloat32));
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::sigmoid_gate(x.const_data_ptr(), weight.const_data_ptr(),
                                 gate.mutable_data_ptr<float>(), x.size(0), x.size(1),
                                 kernel_dtype(x), stream);
  });
  return gate;
}

torch::Tensor dequantize_cuda(const tensor::Weight& weight, torch::ScalarType dtype) {
  const torch::Tensor codes = weight.codes().contiguous();
  const torch::Tensor scales = weight.scales().contiguous();
  torch::Tensor result = torch::empty(weight.sizes(), codes.options().dtype(dtype));
  const int64_t columns = weight.size(-1);
  const int64_t rows = columns == 0 ? 0 : result.numel() / columns;
  on_stream_of(codes, [&](cudaStream_t stream) {
    if (weight.quantization() == tensor::Quantization::kInt8) {
      return kernels::dequantize_int8(codes.const_data_ptr<int8_t>(),
                                      scales.const_data_ptr<float>(), result.mutable_data_ptr(),
                                      rows, columns, kernel_dtype(dtype), stream);
    }
    return kernels::dequantize_nf4(codes.const_data_ptr<uint8_t>(), scales.const_data_ptr<float>(),
                                   tensor::kNf4Values.data(), result.mutable_data_ptr(), rows,
                                   columns, kernel_dtype(dtype), stream);
  });
  return result;
}

ExpertOrder sort_by_expert_cuda(const torch::Tensor& chosen, int64_t num_experts) {
  TORCH_CHECK(num_experts <= kernels::kMaxSortedExperts, "sorting by expert: ", num_experts,
              " experts; the kernel holds ", kernels::kMaxSortedExperts);
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

bool is_hopper_cuda(const torch::Tensor& x) {
  return kernels::is_hopper(x.device().index());
}

torch::Tensor grouped_linear_cuda(const torch::Tensor& x, const GroupedLinear& linear) {
  const int64_t n = linear.weight.size(-2);
  const int64_t rows = linear.x_rows.defined() ? linear.x_rows.size(0) : x.size(0);
  torch::Tensor result = torch::empty({rows, linear.silu_product ? n / 2 : n}, x.options());
  const kernels::GroupedGemm problem{
      .x = x.const_data_ptr(),
      .x_rows = linear.x_rows.defined() ? linear.x_rows.const_data_ptr<int32_t>() : nullptr,
      .weight = linear.weight.const_data_ptr(),
      .ends = linear.ends.defined() ? linear.ends.const_data_ptr<int32_t>() : nullptr,
      .out = result.mutable_data_ptr(),
      .rows = rows,
      .groups = linear.ends.defined() ? linear.weight.size(0) : 1,
      .n = n,
      .k = x.size(1),
      .silu_product = linear.silu_product,
      .row_scale = linear.row_scale.defined() ? linear.row_scale.const_data_ptr<float>() : nullptr};
  on_stream_of(x, [&](cudaStream_t stream) { return kernels::grouped_gemm(problem, stream); });
  return result;
}

bool has_rotated_linear_cuda(const torch::Tensor& x, const RotatedLinear& linear) {
  return has_grouped_linear_cuda(x, linear.weight) && is_hopper_cuda(x) &&
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
