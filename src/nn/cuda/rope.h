#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::nn {

/// See Rope::apply in nn/rope.h.
void rope_cuda(torch::Tensor& rows,             // [T, >= heads * 2 * half]
               const torch::Tensor& positions,  // [T] int64
               const torch::Tensor& cos,        // [P, half]
               const torch::Tensor& sin,        // [P, half]
               int64_t heads);

}  // namespace foregate::nn
