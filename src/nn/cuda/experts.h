#pragma once

#include <torch/types.h>

#include "nn/experts.h"

namespace foregate::nn {

/// residual += experts(x), see nn/experts.h.
void add_experts_cuda(torch::Tensor& residual,  // [T, H]
                      const torch::Tensor& x,   // [T, H]
                      const Routing& routing,   // of the same T tokens
                      const ExpertWeights& weights);

}  // namespace foregate::nn
