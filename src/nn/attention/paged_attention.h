#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "nn/attention/attention.h"

namespace foregate::nn {

/// Rows of a layer's heads, in pages of P tokens each: values of the compute dtype, or int8 codes
/// and a scale for each row.
struct PagedRows {
  torch::Tensor rows;      ///< [pages, P, n, D]
  torch::Tensor scales{};  ///< [pages, P, n] float32; undefined: rows are values
};

/// One layer's keys and values of earlier tokens. A sequence's pages lie anywhere among them.
struct PagedKv {
  torch::Tensor keys;            ///< [pages, P, kv heads, D] compute dtype or int8
  torch::Tensor values;          ///< the same; of latent rows: none, they are in the keys
  torch::Tensor key_scales{};    ///< [pages, P, kv heads] float32 of int8 keys
  torch::Tensor value_scales{};  ///< the same of int8 values, if there are any

  bool is_quantized() const { return key_scales.defined(); }
  PagedRows key_rows() const { return {keys, key_scales}; }
  PagedRows value_rows() const { return {values, value_scales}; }
};

/// Where the sequences of a step keep their tokens. Row s of `pages` lists the pages of sequence s
/// in order: token i of it lies in page pages[s, i / P] at place i % P.
struct SequencePages {
  std::vector<int64_t> lengths;  ///< [sequences] tokens of each, those of this step included
  torch::Tensor pages;           ///< [sequences, N] int32; behind a sequence's last page: any
  torch::Tensor slots;           ///< [T] int64: page * P + place of each token of this step
  /// [sequences] int32; undefined: they are copied if needed. Defined: they and the pages were
  /// there before the layer began.
  torch::Tensor lengths_on_device{};
  /// [sequences * heads] int32 zeros, and zeros again after each layer; undefined: made if needed.
  torch::Tensor arrived{};
};

/// From so many new tokens a sequence on, scores are made by a library's products.
inline constexpr int64_t kLibraryTokens = 16;

/// The new tokens of a step, and where everything before them lies.
struct PagedStep {
  const PackedTexts& texts;    ///< the new tokens of each sequence
  const SequencePages& where;  ///< on the rows' device

  int64_t sequences() const { return static_cast<int64_t>(where.lengths.size()); }
  int64_t first(int64_t sequence) const { return texts.cu_seqlens[sequence]; }
  /// New tokens.
  int64_t count(int64_t sequence) const { return texts.cu_seqlens[sequence + 1] - first(sequence); }
  /// Tokens that were there before.
  int64_t past(int64_t sequence) const { return where.lengths[sequence] - count(sequence); }
  /// Whether every sequence has one new token.
  bool one_each() const;
  /// Whether any sequence has tokens from before.
  bool any_past() const;
  /// Throws c10::Error if the pages do not fit `tokens` new rows and the cache.
  void check(int64_t tokens, const torch::Tensor& paged) const;
};

/// What of the last `count` of `length` tokens each may see of all. -> [count, length] bool;
/// nothing if that is everything.
std::optional<torch::Tensor> causal_mask(int64_t count, int64_t length, torch::Device device);

/// Attention of the new tokens of some sequences over their rows in pages, on the CPU by plain
/// loops: each token's result depends on nothing else in the step. Query heads share key-value
/// heads in groups.
void attend_paged(const torch::Tensor& query,             // [T, heads, D]
                  const PagedRows& keys,                  // [pages, P, kv heads, D]
                  const PagedRows& values,                // [pages, P, kv heads, Dv]
                  const PagedStep& step,                  //
                  const std::vector<int64_t>& sequences,  // of the step
                  double scale,                           // of scores
                  const torch::Tensor& result,            // [T, heads, Dv]
                  const LayerAttention& layer = {});

}  // namespace foregate::nn
