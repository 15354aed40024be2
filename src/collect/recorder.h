#pragma once

#include "collect/work.h"
#include "engine/observer.h"
#include "trace/trace.h"

namespace foregate::collect {

struct RecorderOptions {
  bool logits = false;
  bool features = false;
  bool states_stay = false;  ///< hidden states are left on the engine's device
};

/// Gathers what the engine's routers decide for one batch, on the engine's device, and hands it
/// over in one piece on the CPU.
class Recorder : public engine::EngineObserver {
 public:
  Recorder(const trace::Geometry& geometry, RecorderOptions options)
      : geometry_(geometry), options_(options) {}

  /// Starts a batch. `feature_tokens` [S] int64: positions in the batch whose hidden states are
  /// kept.
  void begin(int64_t num_tokens, torch::Tensor feature_tokens);
  void on_layer_input(int moe_layer, const torch::Tensor& residual) override;
  void on_router(const engine::RouterEvent& event) override;
  /// Starts moving the batch to the CPU, into `result`, and goes on: see BatchResult::ready.
  void finish(BatchResult& result);

 private:
  bool keeps_features() const { return options_.features && feature_tokens_.numel() > 0; }
  void keep(torch::Tensor& target, int moe_layer, const torch::Tensor& values,
            torch::ScalarType dtype);

  trace::Geometry geometry_;
  RecorderOptions options_;
  int64_t num_tokens_ = 0;
  torch::Tensor feature_tokens_;
  torch::Tensor experts_;
  torch::Tensor gate_weights_;
  torch::Tensor router_logits_;
  torch::Tensor router_inputs_;
  torch::Tensor residual_;
  tensor::HostCopier copier_;
};

}  // namespace foregate::collect
