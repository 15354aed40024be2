#pragma once

#include <torch/types.h>

#include <vector>

#include "nn/packed_weight.h"
#include "nn/router.h"

namespace foregate::nn {

/// Weights of the routed experts of one MoE layer, each a gated MLP (see MlpWeights).
struct ExpertWeights {
  torch::Tensor gate_up;  ///< [E, 2I, H]: gate rows, then up rows
  torch::Tensor down;     ///< [E, H, I]
};

/// The routed experts of one MoE layer. Work is grouped by expert; in float32 on the CPU it runs on
/// packed weights (gemm_kernel.h), experts side by side on threads, elsewhere by ATen.
class Experts {
 public:
  Experts() = default;
  explicit Experts(const ExpertWeights& weights);

  /// sum[t] += the outputs of token t's experts, each times its gate weight. Outputs of a token are
  /// added up in rank order, so that results do not depend on threads.
  void add_to(torch::Tensor& sum,             // [T, H]
              const torch::Tensor& x,         // [T, H]
              const Routing& routing) const;  // of the same T tokens

 private:
  void add_packed(torch::Tensor& sum, const torch::Tensor& x, const Routing& routing) const;
  void add_aten(torch::Tensor& sum, const torch::Tensor& x, const Routing& routing) const;

  std::vector<PackedWeight> packed_gate_up_;  ///< [E]
  std::vector<PackedWeight> packed_down_;     ///< [E]
  ExpertWeights weights_;                     ///< unless packed
};

}  // namespace foregate::nn
