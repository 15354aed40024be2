#pragma once

#include <torch/types.h>

#include "nn/attention/paged_attention.h"

namespace foregate::nn {

/// Attention as in nn/attention.h, over the tokens of earlier steps, too: writes the step's keys
/// and values into their slots, then attends causally within each sequence. A sequence without
/// earlier tokens gets the same bits as from attention(). On the CPU the result of a sequence that
/// grows by less than kLibraryTokens does not depend on what else is in the step. Where the cache
/// is of int8, tokens see their own step's keys and values rounded as well, so that it makes no
/// difference in how many steps they came.
torch::Tensor cached_attention(const torch::Tensor& qkv,    // [T, (heads + 2 kv heads) * D]
                               const PackedTexts& texts,    // the new tokens of each sequence
                               const SequencePages& where,  // on qkv's device
                               const AttentionShape& shape, PagedKv& cache,
                               const LayerAttention& layer = {});  // -> [T, heads * D]

}  // namespace foregate::nn
