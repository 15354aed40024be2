#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// out = silu(gate) * up, times its row's scale if there is one; rounded once, at the end.
cudaError_t silu_product(const void* gate_up,     // [rows, 2 * inner]: gate, then up
                         const float* row_scale,  // [rows], or null
                         void* out,               // [rows, inner]
                         int64_t rows, int64_t inner, DType dtype, cudaStream_t stream);

/// sigmoid of each row's product with `weight`: how much of the shared expert a token takes.
cudaError_t sigmoid_gate(const void* x,       // [rows, hidden]
                         const void* weight,  // [hidden]
                         float* gate,         // [rows]
                         int64_t rows, int64_t hidden, DType dtype, cudaStream_t stream);

}  // namespace foregate::kernels
