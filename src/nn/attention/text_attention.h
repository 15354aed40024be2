#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/attention/attention.h"

namespace foregate::nn {

/// Causal attention of the last tokens of one text over all of it, by a library's products.
torch::Tensor text_attention(const torch::Tensor& query,  // [kv heads, group, last tokens, D]
                             const torch::Tensor& key,    // [kv heads, group, tokens, D]
                             const torch::Tensor& value,  // [kv heads, group, tokens, D]
                             const AttentionShape& shape,
                             const LayerAttention& layer);  // -> [kv heads, group, last tokens, D]

}  // namespace foregate::nn
