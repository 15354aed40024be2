#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/attention/attention.h"
#include "nn/attention/paged_attention.h"
#include "nn/rope.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). All heads' keys and
/// values are made of one latent row a token, which is what a cache keeps; a part of the keys is
/// the same in every head and alone carries the position.
struct LatentShape {
  int64_t num_heads = 0;
  int64_t kv_rank = 0;    ///< of a latent row, what keys and values are made of
  int64_t nope_dim = 0;   ///< of a head's query and key, what carries no position
  int64_t rope_dim = 0;   ///< what does; keys have it once for all heads
  int64_t value_dim = 0;  ///< of a head's value
  double scale = 1;       ///< of scores

  int64_t head_dim() const { return nope_dim + rope_dim; }
  int64_t query_size() const { return num_heads * head_dim(); }
  int64_t latent_size() const { return kv_rank + rope_dim; }
  int64_t expanded_size() const { return num_heads * (nope_dim + value_dim); }
  int64_t mixed_size() const { return num_heads * value_dim; }
  /// Queries, keys and values of all heads side by side, all of one width.
  AttentionShape expanded() const;
};

/// What makes the queries and latent rows of a layer.
struct LatentWeights {
  tensor::Weight query_down;  ///< [R, H]; undefined: queries are made of x itself
  torch::Tensor query_norm;   ///< [R]; undefined without query_down
  tensor::Weight query;       ///< [heads * (nope + rope), R or H]
  tensor::Weight latent;      ///< [kv_rank + rope, H]
  torch::Tensor latent_norm;  ///< [kv_rank]
  double epsilon = 0;         ///< of the norms
};

/// Of each token, rotated.
struct LatentRows {
  torch::Tensor query;   ///< [T, heads * (nope + rope)]
  torch::Tensor latent;  ///< [T, kv_rank + rope]: normalised, then the keys' shared part
};

LatentRows rotated_latents(const torch::Tensor& x,  // [T, H] compute dtype
                           const LatentWeights& weights, const LatentShape& shape, Rope& rope,
                           const torch::Tensor& positions,  // [T] int64, on x's device
                           int64_t max_position);

/// Causal attention within each of the packed texts: keys and values of all heads are expanded,
/// then it is nn/attention.h's.
torch::Tensor latent_attention(const LatentRows& rows, const PackedTexts& texts,
                               const tensor::Weight& expand,  // [heads * (nope + value), kv_rank]
                               const LatentShape& shape);     // -> [T, heads * value]

/// Over the tokens of earlier steps, too: writes the step's latent rows into their slots, then
/// attends causally within each sequence. A sequence without earlier tokens gets the same bits as
/// from latent_attention(). One that grows by less than kLibraryTokens multiplies its queries by
/// the keys' expansion instead of expanding all that lies in the cache: the same up to rounding.
/// Where the cache is of int8, tokens see their own step's latent rows rounded as well.
torch::Tensor cached_latent_attention(const LatentRows& rows, const PackedTexts& texts,
                                      const SequencePages& where, const tensor::Weight& expand,
                                      const LatentShape& shape,
                                      PagedKv& cache);  // keys [pages, P, 1, kv_rank + rope]

}  // namespace foregate::nn
