#pragma once

#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

namespace foregate::nn {

/// Heads of an attention layer. Query heads share key-value heads in groups of num_heads /
/// num_kv_heads.
struct AttentionShape {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  std::optional<double> scale{};  ///< of scores; nothing: 1 / sqrt(D)
  double score_scale() const {
    return scale.value_or(1 / std::sqrt(static_cast<double>(head_dim)));
  }
  int64_t qkv_size() const { return (num_heads + 2 * num_kv_heads) * head_dim; }
};

/// What the attention of one layer has of its own.
struct LayerAttention {
  int64_t window = 0;     ///< tokens that one sees, itself among them; 0: all before it
  torch::Tensor sinks{};  ///< [num_heads] float32: a score a head that takes its share of the
                          ///< softmax and gives nothing (gpt-oss); undefined without
  bool is_plain() const { return window == 0 && !sinks.defined(); }
};

/// Where packed texts begin and end.
struct PackedTexts {
  /// `cu_seqlens` outlives this.
  PackedTexts(std::span<const int32_t> cu_seqlens, torch::Device device);

  std::span<const int32_t> cu_seqlens;  ///< [texts + 1], on the host: first 0, last T
  torch::Tensor cu_seqlens_on_device;   ///< [texts + 1] int32
  int64_t longest = 0;                  ///< tokens of the longest text
};

/// Causal softmax attention within each of the packed texts. On a GPU in 16 bits this is one flash
/// attention over all texts (Dao 2023), our own for heads of 64 and 128, elsewhere, and with a
/// window or sinks, one product a text. Sinks need tensors on the CPU.
torch::Tensor attention(const torch::Tensor& qkv,  // [T, (num_heads + 2 num_kv_heads) * D]: q, k, v
                        const PackedTexts& texts, const AttentionShape& shape,
                        const LayerAttention& layer = {});  // -> [T, num_heads * D]

}  // namespace foregate::nn
