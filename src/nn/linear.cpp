#include "nn/linear.h"

#include <torch/types.h>

#include "nn/cuda/available.h"
#include "nn/cuda/thin.h"
#include "nn/cuda/weight.h"
#include "nn/few_rows.h"

namespace foregate::nn {

torch::Tensor compute_weight(const tensor::Weight& weight, torch::ScalarType dtype) {
  if (!weight.is_quantized()) return weight.dense();
  return has_cuda_kernels(weight.codes()) ? dequantize_cuda(weight, dtype)
                                          : weight.dequantize(dtype);
}

torch::Tensor linear(const torch::Tensor& x, const tensor::Weight& weight,
                     const torch::Tensor& bias) {
  if (has_thin_linear_cuda(x, weight)) return thin_linear_cuda(x, weight, bias, x.scalar_type());
  const torch::Tensor matrix = compute_weight(weight, x.scalar_type());
  if (!has_few_rows(x, matrix)) return at::linear(x, matrix, bias);
  torch::Tensor result = torch::empty({x.size(0), matrix.size(0)}, x.options());
  few_rows_linear(result, x, matrix, bias);
  return result;
}

torch::Tensor linear_in_float(const torch::Tensor& x, const tensor::Weight& weight,
                              const torch::Tensor& bias) {
  if (has_thin_linear_cuda(x, weight)) return thin_linear_cuda(x, weight, bias, torch::kFloat32);
  return linear(x, weight, bias).to(torch::kFloat32);
}

void add_linear(torch::Tensor& residual, const torch::Tensor& x, const tensor::Weight& weight,
                const torch::Tensor& bias) {
  if (has_thin_linear_cuda(x, weight) && residual.is_contiguous()) {
    add_thin_linear_cuda(residual, x, weight, bias);
  } else if (x.is_cuda()) {
    residual.addmm_(x, compute_weight(weight, x.scalar_type()).t());
    if (bias.defined()) residual.add_(bias);
  } else {
    residual.add_(linear(x, weight, bias));
  }
}

}  // namespace foregate::nn
