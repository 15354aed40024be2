#include "nn/linear.h"

#include <torch/types.h>

#include "nn/cuda_ops.h"

namespace foregate::nn {

torch::Tensor compute_weight(const tensor::Weight& weight, torch::ScalarType dtype) {
  if (!weight.is_quantized()) return weight.dense();
  if constexpr (kCudaKernels) {
    if (weight.device().is_cuda()) return dequantize_cuda(weight, dtype);
  }
  return weight.dequantize(dtype);
}

torch::Tensor linear(const torch::Tensor& x, const tensor::Weight& weight,
                     const torch::Tensor& bias) {
  return at::linear(x, compute_weight(weight, x.scalar_type()), bias);
}

}  // namespace foregate::nn
