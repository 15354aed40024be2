#pragma once

#include <torch/types.h>

#include "tensor/weight/weight.h"

namespace foregate::nn {

/// The values of a quantised weight, in one kernel.
torch::Tensor dequantize_cuda(const tensor::Weight& weight,  // [rows, N] or [E, rows, N]
                              torch::ScalarType dtype);      // -> of the same shape

}  // namespace foregate::nn
