#include "nn/cuda/attention.h"

#include <torch/types.h>

#include "kernels/attention.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {
namespace {

constexpr int64_t kMaxFlashHeadDim = 256;

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

torch::Tensor packed_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
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

bool has_flash_attention(const torch::Tensor& qkv, const AttentionShape& shape) {
  return qkv.is_cuda() && qkv.scalar_type() != torch::kFloat32 && qkv.size(0) > 0 &&
         shape.head_dim % 8 == 0 && shape.head_dim <= kMaxFlashHeadDim;
}

}  // namespace

bool has_packed_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                               const AttentionShape& shape) {
  const bool half = qkv.scalar_type() == torch::kBFloat16 || qkv.scalar_type() == torch::kFloat16;
  return half && !shape.scale && qkv.is_cuda() && qkv.is_contiguous() &&
         kernels::can_run(packed_attention_of(qkv, texts, shape), kernel_dtype(qkv));
}

torch::Tensor flash_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                                   const AttentionShape& shape) {
  const int64_t tokens = qkv.size(0);
  const auto heads = [&](int64_t first, int64_t count) {
    return qkv.narrow(1, first * shape.head_dim, count * shape.head_dim)
        .view({tokens, count, shape.head_dim});
  };
  const torch::Tensor mixed = std::get<0>(at::_flash_attention_forward(
      heads(0, shape.num_heads), heads(shape.num_heads, shape.num_kv_heads),
      heads(shape.num_heads + shape.num_kv_heads, shape.num_kv_heads), texts.cu_seqlens_on_device,
      texts.cu_seqlens_on_device, texts.longest, texts.longest, /*dropout_p=*/0.0,
      /*is_causal=*/true, /*return_debug_mask=*/false, shape.scale));
  return mixed.reshape({tokens, shape.num_heads * shape.head_dim});
}

bool has_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                        const AttentionShape& shape) {
  return has_packed_attention_cuda(qkv, texts, shape) || has_flash_attention(qkv, shape);
}

torch::Tensor attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                             const AttentionShape& shape) {
  return has_packed_attention_cuda(qkv, texts, shape) ? packed_attention_cuda(qkv, texts, shape)
                                                      : flash_attention_cuda(qkv, texts, shape);
}

}  // namespace foregate::nn
