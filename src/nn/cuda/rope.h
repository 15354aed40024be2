#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::nn {

/// See Rope::apply in nn/rope.h. All of a head turns, in halves; heads lie behind each other.
void rope_cuda(const torch::Tensor& heads,      // [T, n, 2 * half], strides [any, 2 * half, 1]
               const torch::Tensor& positions,  // [T] int64
               const torch::Tensor& cos,        // [P, half]
               const torch::Tensor& sin);       // [P, half]

}  // namespace foregate::nn
