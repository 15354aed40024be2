#pragma once

#include <torch/types.h>

#include <vector>

#include "nn/attention/paged_attention.h"

namespace foregate::nn {

/// Whether the functions below take these rows: heads of 64, 128 or 256 in pages.
bool has_paged_attention_cuda(const torch::Tensor& qkv, const AttentionShape& shape);

/// Attention of a step that gives every sequence one token: stores its key and value, then mixes.
void attend_step_cuda(const torch::Tensor& qkv,  // [sequences, (heads + 2 kv heads) * D]
                      const SequencePages& where, const AttentionShape& shape, PagedKv& cache,
                      const LayerAttention& layer,
                      torch::Tensor& result);  // [sequences, heads * D]

/// Attention of all new tokens of some of a step's sequences, whose keys and values are stored.
void attend_paged_cuda(const torch::Tensor& qkv,               // [T, (heads + 2 kv heads) * D]
                       const PagedStep& step,                  //
                       const std::vector<int64_t>& sequences,  // of the step
                       const AttentionShape& shape, PagedKv& cache, const LayerAttention& layer,
                       torch::Tensor& result);  // [T, heads * D]: the rows of these sequences

}  // namespace foregate::nn
