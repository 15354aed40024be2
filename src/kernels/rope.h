#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// Rotates the first `heads` heads of each row in place: element i of a head together with element
/// i + half. Rounded once, at the end.
cudaError_t rope(void* rows,                // [tokens, stride], stride >= heads * 2 * half
                 const int64_t* positions,  // [tokens]
                 const void* cos,           // [positions, half], the rows' dtype
                 const void* sin,           // [positions, half]
                 int64_t tokens, int64_t stride, int64_t heads, int64_t half, DType dtype,
                 cudaStream_t stream);

}  // namespace foregate::kernels
