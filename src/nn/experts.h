#pragma once

#include <torch/types.h>

#include <memory>

#include "nn/gated_activation.h"
#include "nn/mlp.h"
#include "nn/rms_norm.h"
#include "nn/router.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

/// The routed experts of one MoE layer, each a gated MLP (see MlpWeights).
struct ExpertWeights {
  tensor::Weight gate_up;        ///< [E, 2I, H]: gate rows, then up rows; [S, ...] with `matrices`
  tensor::Weight down;           ///< [E, H, I], or [S, H, I]
  torch::Tensor gate_up_bias{};  ///< [E, 2I] compute dtype; undefined without biases
  torch::Tensor down_bias{};     ///< [E, H]; undefined without biases
  GatedActivation activation{};
  /// [E] int32, where the weights are: which of the S matrices that are stacked each expert has; -1
  /// of one that is not there. Undefined: S is E, and each has its own.
  torch::Tensor matrices{};

  int64_t num_experts() const { return matrices.defined() ? matrices.size(0) : gate_up.size(0); }
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
/// once. `before`: what x was made from by the launch that routed the tokens (RoutedRows::before);
/// the shared expert then need not wait for that.
void add_experts_and_shared(torch::Tensor& residual,  // [T, H] compute dtype
                            const torch::Tensor& x,   // [T, H] compute dtype
                            const Routing& routing,   // of the same T tokens
                            const ExpertWeights& weights,
                            const MlpWeights& shared,          // undefined without
                            const torch::Tensor& shared_gate,  // [1, H], or undefined
                            const RowsBeforeNorm& before = {});

/// Outputs of a layer's experts for some tokens, where the experts are not all at hand at once: the
/// same bits as add_experts() gives, unless the tokens are so few that it does all in one.
class ExpertOutputs {
 public:
  virtual ~ExpertOutputs() = default;
  /// Runs the experts that have a matrix on the tokens that chose them.
  virtual void run(const ExpertWeights& weights) = 0;
  /// residual += what add_experts() adds. Every expert that a token chose has been run.
  virtual void add_to(torch::Tensor& residual) = 0;
};
std::unique_ptr<ExpertOutputs> make_expert_outputs(const torch::Tensor& x,  // [T, H]
                                                   const Routing& routing,  // of the same T tokens
                                                   int64_t num_experts);

}  // namespace foregate::nn
