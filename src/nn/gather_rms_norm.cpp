#include "nn/gather_rms_norm.h"

#include <torch/types.h>

#include "nn/cuda/available.h"
#include "nn/cuda/norm.h"

namespace foregate::nn {

torch::Tensor gather_rms_norm(const torch::Tensor& states, const torch::Tensor& tokens,
                              double epsilon, torch::ScalarType dtype) {
  TORCH_CHECK(states.dim() == 3 && tokens.dim() == 1, "gather_rms_norm: states are ",
              states.sizes(), ", tokens ", tokens.sizes(), "; expected [N, L, H] and [B]");
  if (has_cuda_kernels(states)) return gather_rms_norm_cuda(states, tokens, epsilon, dtype);
  const torch::Tensor x =
      states.index_select(0, tokens).to(torch::kFloat32).transpose(0, 1).contiguous();
  return (x * x.square().mean(-1, /*keepdim=*/true).add(epsilon).rsqrt()).to(dtype);
}

}  // namespace foregate::nn
