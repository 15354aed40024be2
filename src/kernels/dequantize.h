#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// out = codes * their row's scale, rounded once.
cudaError_t dequantize_int8(const int8_t* codes,  // [rows, columns]
                            const float* scales,  // [rows]
                            void* out,            // [rows, columns]
                            int64_t rows, int64_t columns, DType dtype, cudaStream_t stream);

/// out = the NF4 value of each code (Dettmers et al. 2023; two a byte, the first in the high half)
/// times the scale of its block of 64 values, rounded once. A row's last block and byte may be
/// partial.
cudaError_t dequantize_nf4(const uint8_t* codes,  // [rows, (columns + 1) / 2]
                           const float* scales,   // [rows, (columns + 63) / 64]
                           const float* values,   // [16] on the host: what the codes stand for
                           void* out,             // [rows, columns]
                           int64_t rows, int64_t columns, DType dtype, cudaStream_t stream);

}  // namespace foregate::kernels
