#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::nn {

/// What a gated MLP makes of a gate and the up beside it.
struct GatedActivation {
  enum class Kind : uint8_t {
    kSwiglu,         ///< silu(gate) * up (Shazeer 2020)
    kClampedSwiglu,  ///< gpt-oss: g * sigmoid(alpha * g) * (u + 1), where g is the gate but at most
                     ///< limit and u is up within [-limit, limit]
  };
  Kind kind = Kind::kSwiglu;
  double limit = 0;
  double alpha = 0;

  bool operator==(const GatedActivation&) const = default;
};

torch::Tensor gated_product(const torch::Tensor& gate_up,        // [T, 2I]: gates, then ups
                            const GatedActivation& activation);  // -> [T, I]

}  // namespace foregate::nn
