#pragma once

#include <torch/types.h>

#include "nn/attention/attention.h"

namespace foregate::nn {

/// Whether attention_cuda takes such heads: by the kernel of ours, or else by the library's flash
/// attention, in 16 bits, of any head size up to 256 that is a multiple of 8.
bool has_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                        const AttentionShape& shape);

/// See nn/attention.h.
torch::Tensor attention_cuda(const torch::Tensor& qkv,  // [T, (num_heads + 2 num_kv_heads) * D]
                             const PackedTexts& texts,
                             const AttentionShape& shape);  // -> [T, num_heads * D]

/// Whether the kernel of ours takes such heads: of 64 or 128, in 16 bits, in whole rows.
bool has_packed_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                               const AttentionShape& shape);

/// The same by the library's flash attention (Dao 2023). T > 0.
torch::Tensor flash_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                                   const AttentionShape& shape);

}  // namespace foregate::nn
