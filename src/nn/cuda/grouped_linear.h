#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/cuda/expert_rows.h"
#include "nn/rope.h"

namespace foregate::nn {

/// Products of rows sorted by group with their group's matrix.
struct GroupedLinear {
  torch::Tensor weight{};  ///< [G, N, K], or [N, K]: one group; [S, N, K] with `matrices`
  torch::Tensor ends{};    ///< [G] int32 on the device; undefined if there is one group
  /// [G] int32 on the device: which of the S matrices is each group's, -1: its rows are passed
  /// over. Undefined: that of its number.
  torch::Tensor matrices{};
  /// Rows of x are tokens, to be taken as often as each has experts, in this order; null: rows of x
  /// as they lie. Where the kernel does not gather them they are copied first.
  const ExpertOrder* order = nullptr;
  bool silu_product = false;  ///< N is gate rows, then up rows: return silu(gate) * up
  torch::Tensor row_scale{};  ///< [R] float32, with silu_product only; may be undefined
  torch::Tensor out{};        ///< where the result goes; undefined: a new tensor
};

/// Whether grouped_linear_cuda takes these rows: bfloat16, sizes in whole 16 bytes.
bool has_grouped_linear_cuda(const torch::Tensor& x, const torch::Tensor& weight);

torch::Tensor grouped_linear_cuda(const torch::Tensor& x,        // [R, K] bfloat16, or [T, K]
                                  const GroupedLinear& linear);  // -> [R, N] or [R, N / 2]

/// x * weight^T + bias, whose first heads are rotated.
struct RotatedLinear {
  torch::Tensor weight;     ///< [N, K]
  torch::Tensor bias;       ///< [N], or undefined
  torch::Tensor positions;  ///< [R] int64
  RotaryAngles angles;      ///< of all positions
  int64_t heads = 0;        ///< to rotate
};

/// Whether rotated_linear_cuda does it, as it writes the product: bfloat16, heads of 128, and a
/// card that can.
bool has_rotated_linear_cuda(const torch::Tensor& x, const RotatedLinear& linear);

torch::Tensor rotated_linear_cuda(const torch::Tensor& x,        // [R, K] bfloat16
                                  const RotatedLinear& linear);  // -> [R, N]

/// silu(gate) * up of the product x * weight^T, each row times its scale if there are scales: one
/// kernel where that is the quickest, otherwise a library's product and a kernel behind it.
torch::Tensor silu_linear_cuda(const torch::Tensor& x,           // [T, K]
                               const torch::Tensor& weight,      // [2I, K]: gate rows, then up rows
                               const torch::Tensor& row_scale);  // [T] float32, or undefined

}  // namespace foregate::nn
