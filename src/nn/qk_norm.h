#pragma once

#include <torch/types.h>

#include "nn/attention/attention.h"

namespace foregate::nn {

/// RMSNorm of queries and keys in place, before the rotation. A weight [D] normalises every head by
/// itself (Qwen3), one as wide as the projection all heads together (OLMoE).
void qk_norm(torch::Tensor& qkv,                 // [T, (heads + 2 kv heads) * D]
             const torch::Tensor& query_weight,  // [D] or [heads * D]
             const torch::Tensor& key_weight,    // [D] or [kv heads * D]
             const AttentionShape& shape, double epsilon);

}  // namespace foregate::nn
