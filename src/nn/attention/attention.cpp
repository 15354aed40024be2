#include "nn/attention/attention.h"

#include <torch/types.h>

#include <algorithm>

#include "nn/attention/text_attention.h"
#include "nn/cuda/attention.h"
#include "tensor/device/transfer.h"

namespace foregate::nn {
namespace {

// By a library's attention, one text after another: on a CPU, and on a GPU in float32, with heads
// of unusual sizes or a window.
torch::Tensor attention_by_text(const torch::Tensor& qkv, std::span<const int32_t> cu_seqlens,
                                const AttentionShape& shape, const LayerAttention& layer) {
  const int64_t tokens = qkv.size(0);
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t kv_size = shape.num_kv_heads * shape.head_dim;
  torch::Tensor result = torch::empty({tokens, shape.num_heads * shape.head_dim}, qkv.options());
  for (size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
    const int64_t first = cu_seqlens[i];
    const int64_t count = cu_seqlens[i + 1] - first;
    if (count == 0) continue;
    const torch::Tensor rows = qkv.narrow(0, first, count);
    // [kv heads, group, tokens, D]: a group's queries meet one key-value head, which is repeated by
    // a stride of zero instead of a copy.
    const auto heads = [&](int64_t begin, int64_t size) {
      return rows.narrow(1, begin, size)
          .view({count, shape.num_kv_heads, -1, shape.head_dim})
          .permute({1, 2, 0, 3});
    };
    const torch::Tensor query = heads(0, shape.num_heads * shape.head_dim);
    const torch::Tensor key = heads(shape.num_heads * shape.head_dim, kv_size).expand_as(query);
    const torch::Tensor value =
        heads(shape.num_heads * shape.head_dim + kv_size, kv_size).expand_as(query);
    const torch::Tensor mixed = text_attention(query, key, value, shape, layer);
    result.narrow(0, first, count)
        .view({count, shape.num_kv_heads, group, shape.head_dim})
        .copy_(mixed.permute({2, 0, 1, 3}));
  }
  return result;
}

}  // namespace

PackedTexts::PackedTexts(std::span<const int32_t> bounds, torch::Device device)
    : cu_seqlens(bounds),
      cu_seqlens_on_device(tensor::to_device(
          torch::tensor(c10::ArrayRef<int32_t>(bounds.data(), bounds.size()), torch::kInt32),
          device)) {
  for (size_t i = 0; i + 1 < bounds.size(); ++i) {
    longest = std::max<int64_t>(longest, bounds[i + 1] - bounds[i]);
  }
}

torch::Tensor attention(const torch::Tensor& qkv, const PackedTexts& texts,
                        const AttentionShape& shape, const LayerAttention& layer) {
  const std::span<const int32_t> cu_seqlens = texts.cu_seqlens;
  const int64_t tokens = qkv.size(0);
  TORCH_CHECK(qkv.dim() == 2 && qkv.size(1) == shape.qkv_size(), "attention: qkv is ", qkv.sizes(),
              "; expected [T, ", shape.qkv_size(), "]");
  TORCH_CHECK(!cu_seqlens.empty() && cu_seqlens.front() == 0 && cu_seqlens.back() == tokens,
              "attention: cu_seqlens must run from 0 to ", tokens);
  if (layer.is_plain() && has_attention_cuda(qkv, texts, shape)) {
    return attention_cuda(qkv, texts, shape);
  }
  return attention_by_text(qkv, cu_seqlens, shape, layer);
}

}  // namespace foregate::nn
