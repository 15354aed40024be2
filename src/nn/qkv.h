#pragma once

#include <torch/types.h>

#include "nn/attention/attention.h"
#include "nn/rope.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

/// What makes the queries, keys and values of a layer.
struct QkvWeights {
  tensor::Weight projection;   ///< [(heads + 2 kv heads) * D, H]
  torch::Tensor bias;          ///< [(heads + 2 kv heads) * D]; undefined without biases
  torch::Tensor query_norm;    ///< [D] or [heads * D]; undefined without one
  torch::Tensor key_norm;      ///< [D] or [kv heads * D]; undefined without one
  double epsilon = 0;          ///< of the norms
  torch::Tensor input_norm{};  ///< [H]: x is normalised by it first; undefined: it has been
};

/// Queries, keys and values of each token, queries and keys normalised where there are norms, then
/// rotated. Without norms of their own they are rotated by the product itself, as it writes them,
/// if rows are few and on a GPU, or heads of 128 in bfloat16 and on Hopper.
torch::Tensor rotated_qkv(const torch::Tensor& x,  // [T, H] compute dtype
                          const QkvWeights& weights, const AttentionShape& shape, Rope& rope,
                          const torch::Tensor& positions,  // [T] int64, on x's device
                          int64_t max_position);  // -> [T, (heads + 2 kv heads) * D]: q, k, v

}  // namespace foregate::nn
