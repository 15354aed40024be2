#pragma once

#include <torch/types.h>

#include "nn/gated_activation.h"
#include "nn/mlp.h"
#include "nn/router.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

/// The routed experts of one MoE layer, each a gated MLP (see MlpWeights).
struct ExpertWeights {
  tensor::Weight gate_up;        ///< [E, 2I, H]: gate rows, then up rows
  tensor::Weight down;           ///< [E, H, I]
  torch::Tensor gate_up_bias{};  ///< [E, 2I] compute dtype; undefined without biases
  torch::Tensor down_bias{};     ///< [E, H]; undefined without biases
  GatedActivation activation{};
  /// Whether the kernels that multiply and activate at once compute it.
  bool is_plain() const { return !gate_up_bias.defined() && activation == GatedActivation{}; }
};

/// residual += the sum over each token's chosen experts of gate weight times expert output. The sum
/// is taken in float32 in rank order, so that it does not depend on threads, and rounded: on a CPU
/// before it is added, on a GPU after. Work is grouped by expert.
void add_experts(torch::Tensor& residual,  // [T, H] compute dtype
                 const torch::Tensor& x,   // [T, H] compute dtype
                 const Routing& routing,   // of the same T tokens
                 const ExpertWeights& weights);

/// The same, then the expert that all tokens share, if there is one: on a GPU, of few tokens, at
/// once.
void add_experts_and_shared(torch::Tensor& residual,  // [T, H] compute dtype
                            const torch::Tensor& x,   // [T, H] compute dtype
                            const Routing& routing,   // of the same T tokens
                            const ExpertWeights& weights,
                            const MlpWeights& shared,           // undefined without
                            const torch::Tensor& shared_gate);  // [1, H], or undefined

}  // namespace foregate::nn
