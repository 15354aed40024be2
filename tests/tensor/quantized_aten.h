#pragma once

#include <torch/types.h>

#include "tensor/weight/quantization.h"

namespace foregate::testing {

// Quantisation by ATen operations, on any device: what rows and kernels are compared with. The
// formulas are those of tensor/weight/quantized_rows.h, bit by bit.

struct CodesAndScales {
  torch::Tensor codes;
  torch::Tensor scales;
};

/// Finite values only.
CodesAndScales encode_aten(tensor::Quantization quantization,  // not kNone
                           const torch::Tensor& values);       // [..., N] float32

torch::Tensor decode_aten(tensor::Quantization quantization,  // not kNone
                          const torch::Tensor& codes,         // [..., N] int8 or [..., N / 2] uint8
                          const torch::Tensor& scales,        // [...] or [..., blocks] float32
                          int64_t columns,                    // N
                          torch::ScalarType dtype);           // -> [..., N] of this dtype

}  // namespace foregate::testing
