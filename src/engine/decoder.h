#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

#include "engine/expert_offload.h"
#include "engine/observer.h"
#include "models/config.h"
#include "models/weights/decoder_weights.h"
#include "nn/attention.h"
#include "nn/rope.h"

namespace foregate::engine {

/// The forward pass of every architecture: pre-norm decoder layers with rotary grouped-query
/// attention and a dense or a sparse gated MLP. It runs the layers it is given and stops where the
/// weights do.
class Decoder {
 public:
  Decoder(const models::ModelConfig& config, models::DecoderWeights weights, torch::Device device,
          torch::ScalarType dtype);

  /// Routes packed texts, calling the observer at every MoE layer. Ids and lengths have been
  /// checked.
  void forward(const torch::Tensor& token_ids,       // [T] int64, on the device
               const torch::Tensor& positions,       // [T] int64, on the device
               std::span<const int32_t> cu_seqlens,  // [texts + 1]
               EngineObserver& observer);

  const models::DecoderWeights& weights() const { return weights_; }

 private:
  struct Batch;
  /// Adds a layer's attention to the residual stream.
  void attend(const models::GroupedQueryAttention& attention,
              const torch::Tensor& input,  // [T, H], normalised
              const Batch& batch, torch::Tensor& residual);
  /// Routes one MoE layer and, if its experts are there, adds their output to the residual stream.
  void run_moe(const models::MoeWeights& moe, int moe_layer, const torch::Tensor& input,
               torch::Tensor& residual, EngineObserver& observer);
  /// Logits of each text's last token.
  torch::Tensor next_token_logits(const torch::Tensor& residual, const Batch& batch) const;

  models::ModelConfig config_;
  models::DecoderWeights weights_;
  nn::AttentionShape attention_shape_;
  nn::Rope rope_;
  ExpertOffload experts_;
};

}  // namespace foregate::engine
