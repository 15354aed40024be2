#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// Causal attention within each of some texts that lie back to back, scaled by 1 / sqrt(head_dim).
/// Query heads share key-value heads in groups of heads / kv_heads.
struct PackedAttention {
  const void* qkv = nullptr;            ///< [tokens, (heads + 2 kv_heads) * head_dim]: q, k, v
  const int32_t* cu_seqlens = nullptr;  ///< [texts + 1] on the device: first 0, last tokens
  void* out = nullptr;                  ///< [tokens, heads * head_dim]
  int64_t texts = 0;
  int64_t longest = 0;  ///< tokens of the longest text
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

/// Heads of 64 or 128 in 16 bits.
bool can_run(const PackedAttention& problem, DType dtype);

/// Rows of the result are those of flash attention (Dao 2023): float32 sums, weights rounded to the
/// dtype before they meet the values.
cudaError_t packed_attention(const PackedAttention& problem, DType dtype, cudaStream_t stream);

}  // namespace foregate::kernels
