#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>

#include "kernels/dtype.h"

namespace foregate::nn {

// What the wrappers of this folder share: how a kernel names a dtype, and the stream it runs on.

inline kernels::DType kernel_dtype(torch::ScalarType dtype) {
  switch (dtype) {
    case torch::kFloat32:
      return kernels::DType::kFloat32;
    case torch::kBFloat16:
      return kernels::DType::kBFloat16;
    case torch::kFloat16:
      return kernels::DType::kFloat16;
    default:
      TORCH_CHECK(false, "no CUDA kernels for ", dtype);
  }
}

inline kernels::DType kernel_dtype(const torch::Tensor& tensor) {
  return kernel_dtype(tensor.scalar_type());
}

/// Calls `launch` with the current stream of the tensor's device.
template <typename Launch>
void on_stream_of(const torch::Tensor& tensor, const Launch& launch) {
  const c10::cuda::CUDAGuard guard(tensor.device());
  C10_CUDA_CHECK(launch(c10::cuda::getCurrentCUDAStream().stream()));
}

}  // namespace foregate::nn
