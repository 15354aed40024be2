#include "nn/gather_rms_norm.h"

#include <torch/types.h>

#include "nn/cuda_ops.h"

namespace foregate::nn {

torch::Tensor gather_rms_norm(const torch::Tensor& states, const torch::Tensor& tokens,
                              double epsilon, torch::ScalarType dtype) {
  TORCH_CHECK(states.dim() == 3 && tokens.dim() == 1, "normalised_rows: states are ",
              states.sizes(), ", tokens ", tokens.sizes(), "; expected [N, L, H] and [B]");
  if constexpr (kCudaKernels) {
    if (states.is_cuda()) return gather_rms_norm_cuda(states, tokens, epsilon, dtype);
  }
  const torch::Tensor x =
      states.index_select(0, tokens).to(torch::kFloat32).transpose(0, 1).contiguous();
  return (x * x.square().mean(-1, /*keepdim=*/true).add(epsilon).rsqrt()).to(dtype);
}

}  // namespace foregate::nn
