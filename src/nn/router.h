#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// Router logits, x * weight^T, in float32. The router stays in float32 whatever the compute dtype
/// (transformers runs it in the model's dtype, and so rounds bfloat16 logits).
///
/// On the CPU, and in the CUDA kernels, every logit is a fixed function of its token's row and its
/// expert's row: the same bits whatever the other tokens, the batch, the number of threads and the
/// instruction set, so that decisions can be recomputed from recorded inputs. With x and w the two
/// rows as float32:
///   1. 16 partial sums start at +0. For h = 0 .. H-1 in rising order
///      sum[h % 16] = fma(x[h], w[h], sum[h % 16]), rounded once to float32.
///   2. They are added in pairs: sum[i] += sum[i + 8] for i < 8, then + 4, + 2, + 1; the logit is
///   sum[0].
torch::Tensor router_logits(const torch::Tensor& x,        // [T, H] float32, bfloat16 or float16
                            const torch::Tensor& weight);  // [E, H] float32

/// What a router decides from its logits.
struct Routing {
  torch::Tensor experts;       ///< [T, k] int64, by falling logit, ties by lowest index
  torch::Tensor gate_weights;  ///< [T, k] float32, in the same order
};

/// Picks each token's k experts. The gate weights are the softmax over all experts in float32,
/// gathered at the chosen ones and, if `norm_topk`, divided by their sum. NaN logits rank last.
Routing route(const torch::Tensor& logits,  // [T, E] float32
              int64_t k, bool norm_topk);

}  // namespace foregate::nn
