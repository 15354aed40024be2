#include "nn/linear.h"

#include <torch/torch.h>

namespace foregate::nn {

torch::Tensor compute_weight(const Weight& weight, torch::ScalarType dtype) {
  return weight.is_quantized() ? weight.dequantize(dtype) : weight.dense();
}

torch::Tensor linear(const torch::Tensor& x, const Weight& weight, const torch::Tensor& bias) {
  return at::linear(x, compute_weight(weight, x.scalar_type()), bias);
}

}  // namespace foregate::nn
