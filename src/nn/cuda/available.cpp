#include "nn/cuda/available.h"

#include <torch/types.h>

namespace foregate::nn {

bool has_cuda_kernels(const torch::Tensor& tensor) {
  return tensor.is_cuda();
}

}  // namespace foregate::nn
