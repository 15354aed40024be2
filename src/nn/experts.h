#pragma once

#include <torch/types.h>

#include "nn/router.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

/// The routed experts of one MoE layer, each a gated MLP (see MlpWeights).
struct ExpertWeights {
  tensor::Weight gate_up;  ///< [E, 2I, H]: gate rows, then up rows
  tensor::Weight down;     ///< [E, H, I]
};

/// Sum over each token's chosen experts of gate weight times expert output, accumulated in float32
/// in rank order, so that it does not depend on threads. Work is grouped by expert.
torch::Tensor experts(const torch::Tensor& x,         // [T, H] compute dtype
                      const Routing& routing,         // of the same T tokens
                      const ExpertWeights& weights);  // -> [T, H] compute dtype

}  // namespace foregate::nn
