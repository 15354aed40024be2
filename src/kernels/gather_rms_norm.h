#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// Rows x / sqrt(mean(x^2) + epsilon) of some tokens, turned from token by token to layer by layer.
struct GatherRmsNorm {
  const void* states;     ///< [N, layers, hidden]
  const int64_t* tokens;  ///< [batch], each below N
  void* out;              ///< [layers, batch, hidden]
  int64_t layers;
  int64_t batch;
  int64_t hidden;
  float epsilon;
};
cudaError_t gather_rms_norm(const GatherRmsNorm& rows, DType from, DType to, cudaStream_t stream);

}  // namespace foregate::kernels
