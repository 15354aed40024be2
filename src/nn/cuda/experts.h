#pragma once

#include <torch/types.h>

#include <memory>

#include "nn/experts.h"

namespace foregate::nn {

/// See nn/experts.h.
std::unique_ptr<ExpertOutputs> make_expert_outputs_cuda(const torch::Tensor& x,
                                                        const Routing& routing,
                                                        int64_t num_experts);

}  // namespace foregate::nn
