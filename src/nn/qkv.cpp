#include "nn/qkv.h"

#include <torch/types.h>

#include "nn/cuda/grouped_linear.h"
#include "nn/cuda/thin.h"
#include "nn/linear.h"
#include "nn/qk_norm.h"
#include "nn/rms_norm.h"

namespace foregate::nn {
namespace {

// Whether a product of few rows rotates queries and keys as it writes them.
bool turns_in_thin_product(const torch::Tensor& x, const QkvWeights& weights,
                           const AttentionShape& shape, const Rope& rope) {
  return !weights.query_norm.defined() && rope.turns_halves_of(shape.head_dim) &&
         shape.head_dim % 16 == 0 && has_thin_linear_cuda(x, weights.projection);
}

}  // namespace

torch::Tensor rotated_qkv(const torch::Tensor& x, const QkvWeights& weights,
                          const AttentionShape& shape, Rope& rope, const torch::Tensor& positions,
                          int64_t max_position) {
  TORCH_CHECK(x.dim() == 2 && positions.dim() == 1 && positions.size(0) == x.size(0), "qkv: x is ",
              x.sizes(), ", positions ", positions.sizes(), "; expected [T, H] and [T]");
  TORCH_CHECK(!weights.bias.defined() ||
                  (weights.bias.is_contiguous() && weights.bias.scalar_type() == x.scalar_type() &&
                   weights.bias.numel() == shape.qkv_size()),
              "qkv: the bias is ", weights.bias.sizes(), "; expected [", shape.qkv_size(),
              "] in the dtype of x");
  if (weights.input_norm.defined() && !(turns_in_thin_product(x, weights, shape, rope) &&
                                        normalizes_in_thin_linear_cuda(x, weights.projection))) {
    QkvWeights others = weights;
    others.input_norm.reset();
    return rotated_qkv(rms_norm(x, weights.input_norm, weights.epsilon), others, shape, rope,
                       positions, max_position);
  }
  const int64_t rotated_heads = shape.num_heads + shape.num_kv_heads;
  if (turns_in_thin_product(x, weights, shape, rope)) {
    return thin_rotated_linear_cuda({.weight = weights.projection,
                                     .bias = weights.bias,
                                     .x = {x, weights.input_norm, weights.epsilon},
                                     .positions = positions,
                                     .angles = rope.angles(max_position),
                                     .heads = rotated_heads,
                                     .head_dim = shape.head_dim});
  }
  const bool has_norms = weights.query_norm.defined();
  torch::Tensor qkv;
  if (has_thin_linear_cuda(x, weights.projection)) {
    qkv = nn::linear(x, weights.projection, weights.bias);
  } else {
    const torch::Tensor projection = compute_weight(weights.projection, x.scalar_type());
    const RotatedLinear rotated{.weight = projection,
                                .bias = weights.bias,
                                .positions = positions,
                                .angles = rope.angles(max_position),
                                .heads = rotated_heads};
    if (!has_norms && rope.turns_halves_of(shape.head_dim) && has_rotated_linear_cuda(x, rotated))
      return rotated_linear_cuda(x, rotated);
    qkv = nn::linear(x, projection, weights.bias);
  }
  if (has_norms) qk_norm(qkv, weights.query_norm, weights.key_norm, shape, weights.epsilon);
  rope.apply(qkv.narrow(1, 0, rotated_heads * shape.head_dim)
                 .view({qkv.size(0), rotated_heads, shape.head_dim}),
             positions, max_position);
  return qkv;
}

}  // namespace foregate::nn
