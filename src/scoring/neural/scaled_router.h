#pragma once

#include <cstdint>
#include <span>

#include "scoring/neural/layout_tensors.h"
#include "scoring/neural/state_scorer.h"

namespace foregate::scoring {

/// W (g * z): the target's router as gate-adapter and gate-mlp trained it.
class ScaledRouter {
 public:
  /// Takes "router" and "gain". Throws DataError.
  ScaledRouter(const LayoutTensors& tensors, int64_t num_experts, int64_t hidden_size);

  /// Adds its logits for a row of the tensors to those of each sequence.
  void add_logits(int64_t row, std::span<const float* const> states,
                  std::span<float* const> outs) const;

 private:
  int64_t num_experts_;
  int64_t hidden_size_;
  const float* router_;  // [L'][E][H]
  const float* gain_;    // [L'][H]
};

}  // namespace foregate::scoring
