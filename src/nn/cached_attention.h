#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "nn/attention.h"

namespace foregate::nn {

/// One layer's keys and values of earlier tokens, in pages of P tokens each. A sequence's pages lie
/// anywhere among them.
struct PagedKv {
  torch::Tensor keys;    ///< [pages, P, kv heads, D] compute dtype
  torch::Tensor values;  ///< [pages, P, kv heads, D]
};

/// Where the sequences of a step keep their tokens. Row s of `pages` lists the pages of sequence s
/// in order: token i of it lies in page pages[s, i / P] at place i % P.
struct SequencePages {
  std::vector<int64_t> lengths;  ///< [sequences] tokens of each, those of this step included
  torch::Tensor pages;           ///< [sequences, N] int32; behind a sequence's last page: any
  torch::Tensor slots;           ///< [T] int64: page * P + place of each token of this step
};

/// Attention as in nn/attention.h, over the tokens of earlier steps, too: writes the step's keys
/// and values into their slots, then attends causally within each sequence. A sequence without
/// earlier tokens gets the same bits as from attention(). On the CPU the result of a sequence that
/// grows by less than kLibraryTokens does not depend on what else is in the step.
torch::Tensor cached_attention(const torch::Tensor& qkv,    // [T, (heads + 2 kv heads) * D]
                               const PackedTexts& texts,    // the new tokens of each sequence
                               const SequencePages& where,  // on qkv's device
                               const AttentionShape& shape,
                               PagedKv& cache);  // -> [T, heads * D]

/// From so many new tokens a sequence on, scores are made by a library's products.
inline constexpr int64_t kLibraryTokens = 16;

}  // namespace foregate::nn
