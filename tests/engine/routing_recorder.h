#pragma once

#include <torch/types.h>

#include <vector>

#include "engine/engine.h"

namespace foregate::testing {

/// Keeps everything the engine shows, copied to the CPU.
class RoutingRecorder : public engine::EngineObserver {
 public:
  void on_layer_input(int /*moe_layer*/, const torch::Tensor& residual) override {
    residuals.push_back(residual.to(torch::kCPU, /*non_blocking=*/false, /*copy=*/true));
  }
  void on_router(const engine::RouterEvent& event) override {
    moe_layers.push_back(event.moe_layer);
    router_inputs.push_back(event.router_input.cpu().clone());
    logits.push_back(event.logits.cpu().clone());
    experts.push_back(event.experts.cpu().clone());
    gate_weights.push_back(event.gate_weights.cpu().clone());
  }

  std::vector<int> moe_layers;
  std::vector<torch::Tensor> residuals;      ///< L of [T, H]
  std::vector<torch::Tensor> router_inputs;  ///< L of [T, H]
  std::vector<torch::Tensor> logits;         ///< L of [T, E]
  std::vector<torch::Tensor> experts;        ///< L of [T, k]
  std::vector<torch::Tensor> gate_weights;   ///< L of [T, k]
};

}  // namespace foregate::testing
