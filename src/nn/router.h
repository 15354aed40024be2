#pragma once

#include <torch/types.h>

#include "trace/router_spec.h"

namespace foregate::nn {

using trace::RouterSpec;

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

/// What is added on the way to a decision. Undefined: nothing.
struct RouterBiases {
  torch::Tensor logit{};   ///< [E] float32: to the logits, before anything else
  torch::Tensor choice{};  ///< [E] float32: to the scores that choose, not to the gate weights
};

/// What a router decides from its logits.
struct Routing {
  torch::Tensor experts;       ///< [T, k] int64, by falling gate weight: see route()
  torch::Tensor gate_weights;  ///< [T, k] float32, in the same order
};

/// Whether route() decides on the GPU where the logits are there; otherwise the host does, and the
/// GPU waits for it.
bool routes_on_gpu(const RouterSpec& spec, const RouterBiases& biases);

/// Picks each token's k experts, as `spec` says:
///   1. Logits get the logit bias.
///   2. Experts rank by choice score, the higher the better, ties by lowest index, NaN last. It is
///      the score (softmax, sigmoid, or the logit itself for the other two) plus the choice
///      bias. Where that ranks as the logits do (softmax without choice bias and without sums of
///      two), it is the logits that are compared, so that rounding makes no ties. Scores that
///      choose are computed in float64 and rounded to float32: they do not depend on whose exp it
///      is.
///   3. Of `groups` groups the `top_groups` best stay, ranked in the same way; the k best experts
///      of these are chosen.
///   4. Gate weights are the scores without choice bias, the softmax over the chosen logits, or
///      what a sparsemixer gives; divided by their sum plus epsilon, min_sum at least, if
///      `norm_topk`; times scale. The softmax is float32, its sum in order of the experts, the sum
///      of gate weights in order of rank.
///   5. Experts come by falling gate weight, equal ones as they rank: where a choice bias or a
///      sparsemixer chose, that is another order than their rank.
///
/// The CUDA kernel does what is needed today: softmax, norm_topk or not, no biases. Anything else
/// is decided on the CPU for tensors on a GPU, too, with the same result.
///
/// Throws DataError for a spec that does not fit the experts, c10::Error for shapes.
Routing route(const torch::Tensor& logits,  // [T, E] float32
              const RouterSpec& spec, const RouterBiases& biases, int64_t k);

}  // namespace foregate::nn
