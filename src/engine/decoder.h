#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "engine/experts/cache_options.h"
#include "engine/experts/expert_store.h"
#include "engine/kv_cache.h"
#include "engine/observer.h"
#include "models/config.h"
#include "models/weights/decoder_weights.h"
#include "nn/attention/attention.h"
#include "nn/rope.h"
#include "nn/routed_rows.h"

namespace foregate::engine {

/// What one pass over the layers runs. Ids, positions and lengths have been checked.
struct DecoderStep {
  torch::Tensor token_ids{};  ///< [T] int64, on the device
  torch::Tensor positions{};  ///< [T] int64, on the device: of each token in its sequence
  int64_t max_position = 0;   ///< no position is larger
  const nn::PackedTexts& texts;
  /// Where the texts' sequences keep their tokens; nullptr: every text is by itself.
  KvCache* cache = nullptr;
  nn::SequencePages pages{};  ///< in the cache
};

/// The forward pass of every architecture: pre-norm decoder layers with rotary grouped-query or
/// latent attention and a dense or a sparse gated MLP. It runs the layers it is given and stops
/// where the weights do.
class Decoder {
 public:
  /// With `cache`, experts that the loader has left in pieces in the host's memory come through an
  /// expert cache. Throws as CachedExperts does.
  Decoder(const models::ModelConfig& config, models::DecoderWeights weights, torch::Device device,
          torch::ScalarType dtype, const std::optional<ExpertCacheOptions>& cache = {});

  /// Runs a step, calling the observer at every MoE layer. Returns the logits of each text's next
  /// token, [texts, V] float32; undefined without lm_head.
  torch::Tensor forward(const DecoderStep& step, EngineObserver& observer);

  /// Whether a step that gives a few sequences one token each runs on the GPU without waiting for
  /// the host, so that it can be recorded as a CUDA graph.
  bool can_record_steps() const;

  const models::DecoderWeights& weights() const { return weights_; }
  ExpertStore& experts() { return *experts_; }

 private:
  /// Adds a layer's attention to the residual stream.
  void attend(const models::GroupedQueryAttention& attention, size_t layer, const DecoderStep& step,
              torch::Tensor& residual);
  void attend(const models::LatentAttention& attention, size_t layer, const DecoderStep& step,
              torch::Tensor& residual);
  /// Routes one MoE layer and, if its experts are there, adds their output to the residual stream.
  void run_moe(const models::LayerWeights& layer, const models::MoeWeights& moe, int moe_layer,
               torch::Tensor& residual, EngineObserver& observer);
  /// Adds the routed experts' output, and the shared one's.
  void add_experts(torch::Tensor& residual, const models::MoeWeights& moe, int moe_layer,
                   const nn::RoutedRows& routed);
  /// The rows of a MoE layer, normalised, and where they go.
  nn::RoutedRows routed(const models::LayerWeights& layer, const models::MoeWeights& moe,
                        const torch::Tensor& residual) const;
  /// The config's kind of norm.
  torch::Tensor normalized(const torch::Tensor& x,       // [T, H]
                           const torch::Tensor& weight,  // [H]
                           const torch::Tensor& bias) const;
  /// Lets `work` add a branch to the residual stream, times the config's multiplier.
  template <typename Work>
  void add_branch(torch::Tensor& residual, const Work& work) const;
  /// Logits of each text's last token.
  torch::Tensor next_token_logits(const torch::Tensor& residual,
                                  const nn::PackedTexts& texts) const;

  models::ModelConfig config_;
  models::DecoderWeights weights_;
  nn::Rope rope_;
  std::unique_ptr<ExpertStore> experts_;
  torch::Tensor route_counters_;  ///< on a GPU
};

}  // namespace foregate::engine
