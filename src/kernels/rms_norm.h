#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// out = weight * round(x / sqrt(mean(x^2) + epsilon)), the inner rounding to the dtype as
/// transformers does it.
cudaError_t rms_norm(const void* x,       // [rows, hidden]
                     const void* weight,  // [hidden]
                     void* out,           // [rows, hidden]
                     int64_t rows, int64_t hidden, float epsilon, DType dtype, cudaStream_t stream);

}  // namespace foregate::kernels
