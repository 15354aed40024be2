#include "nn/linear.h"

#include <torch/types.h>

#include "nn/cuda/available.h"
#include "nn/cuda/weight.h"

namespace foregate::nn {

torch::Tensor compute_weight(const tensor::Weight& weight, torch::ScalarType dtype) {
  if (!weight.is_quantized()) return weight.dense();
  return has_cuda_kernels(weight.codes()) ? dequantize_cuda(weight, dtype)
                                          : weight.dequantize(dtype);
}

torch::Tensor linear(const torch::Tensor& x, const tensor::Weight& weight,
                     const torch::Tensor& bias) {
  return at::linear(x, compute_weight(weight, x.scalar_type()), bias);
}

void add_linear(torch::Tensor& residual, const torch::Tensor& x, const tensor::Weight& weight,
                const torch::Tensor& bias) {
  if (x.is_cuda()) {
    residual.addmm_(x, compute_weight(weight, x.scalar_type()).t());
    if (bias.defined()) residual.add_(bias);
  } else {
    residual.add_(linear(x, weight, bias));
  }
}

}  // namespace foregate::nn
