#pragma once

#include <torch/types.h>

#include "nn/router.h"
#include "tensor/weight.h"

namespace foregate::nn {

/// The routed experts of one MoE layer, each a gated MLP (see MlpWeights).
struct ExpertWeights {
  Weight gate_up;  ///< [E, 2I, H]: gate rows, then up rows
  Weight down;     ///< [E, H, I]
};

/// Sum over each token's chosen experts of gate weight times expert output, accumulated in float32
/// in rank order, so that it does not depend on threads. Work is grouped by expert.
torch::Tensor experts(const torch::Tensor& x,         // [T, H] compute dtype
                      const Routing& routing,         // of the same T tokens
                      const ExpertWeights& weights);  // -> [T, H] compute dtype

}  // namespace foregate::nn
