#include "nn/layer_norm.h"

#include <torch/types.h>

namespace foregate::nn {

torch::Tensor layer_norm(const torch::Tensor& x, const torch::Tensor& weight,
                         const torch::Tensor& bias, double epsilon) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 1 && x.size(1) == weight.size(0) &&
                  bias.sizes() == weight.sizes(),
              "layer_norm: x is ", x.sizes(), ", weight ", weight.sizes(), ", bias ", bias.sizes(),
              "; expected [T, H], [H] and [H]");
  return at::layer_norm(x, {x.size(1)}, weight, bias, epsilon);
}

}  // namespace foregate::nn
