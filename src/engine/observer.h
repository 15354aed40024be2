#pragma once

#include <torch/types.h>

namespace foregate::engine {

/// What one MoE layer's router did for a packed batch of T tokens. Tensors live on the engine's
/// device and are valid during the call only.
struct RouterEvent {
  int moe_layer = 0;           ///< 0 .. L-1
  torch::Tensor router_input;  ///< [T, H] compute dtype
  torch::Tensor logits;        ///< [T, E] float32
  torch::Tensor experts;       ///< [T, k] int64, ranked: see nn::route
  torch::Tensor gate_weights;  ///< [T, k] float32, as the experts are mixed with
};

/// Sees routing as it happens. The engine calls it; layers know nothing of it.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  /// The residual stream entering MoE layer `moe_layer`, before its attention. [T, H] compute
  /// dtype.
  virtual void on_layer_input(int /*moe_layer*/, const torch::Tensor& /*residual*/) {}
  virtual void on_router(const RouterEvent& event) = 0;
};

/// Looks away.
class NoObserver : public EngineObserver {
 public:
  void on_router(const RouterEvent& /*event*/) override {}
};

}  // namespace foregate::engine
