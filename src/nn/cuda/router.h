#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/router.h"

namespace foregate::nn {

/// See router_logits in nn/router.h: the same bits.
torch::Tensor router_logits_cuda(const torch::Tensor& x,        // [T, H]
                                 const torch::Tensor& weight);  // [E, H] float32 -> [T, E]

/// See route in nn/router.h.
Routing route_cuda(const torch::Tensor& logits,  // [T, E] float32
                   int64_t k, bool norm_topk);

}  // namespace foregate::nn
