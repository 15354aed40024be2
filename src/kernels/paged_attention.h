#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// Causal attention of single tokens over keys and values in pages: those of decoding. Query heads
/// share key-value heads in groups of heads / kv_heads.
struct PagedAttention {
  const void* qkv = nullptr;         ///< [rows, (heads + 2 kv_heads) * head_dim]: q, k, v
  void* keys = nullptr;              ///< [pages, page_tokens, kv_heads, head_dim]
  void* values = nullptr;            ///< [pages, page_tokens, kv_heads, head_dim]
  const int32_t* pages = nullptr;    ///< [sequences, most_pages]: of each sequence in order
  const int32_t* lengths = nullptr;  ///< [queries]: tokens that each sees, itself the last
  /// [queries] each: rows of qkv and of `pages`; null: query i is row i and sequence i, and its own
  /// key and value are taken from qkv and stored into their place.
  const int32_t* rows = nullptr;
  const int32_t* sequences = nullptr;
  const float* sinks =
      nullptr;                 ///< [heads]: scores that take their share and give nothing, or null
  void* out = nullptr;         ///< [rows, heads * head_dim]
  int32_t* arrived = nullptr;  ///< [queries, heads] zeros, which it leaves as zeros
  void* workspace = nullptr;   ///< paged_attention_workspace() bytes, 16-byte aligned
  int64_t queries = 0;
  int64_t most_pages = 0;
  int64_t page_tokens = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  /// Whether pages, lengths and the tokens before these were written before the kernel in front of
  /// this one began its work: they are then fetched at once.
  bool is_settled = false;
  int64_t window = 0;  ///< tokens that one sees, itself among them; 0: all before it
  float scale = 1;     ///< of scores
};

/// Heads of 64 and 128, of 256 in 16 bits.
bool can_run(const PagedAttention& problem, DType dtype);

int64_t paged_attention_workspace(const PagedAttention& problem);

/// Long sequences are split among blocks (Dao et al. 2023, "Flash-Decoding"), in as many parts as
/// their number and that of the heads leave blocks for; what each found is put together in the
/// order of the parts.
cudaError_t paged_attention(const PagedAttention& problem, DType dtype, cudaStream_t stream);

}  // namespace foregate::kernels
