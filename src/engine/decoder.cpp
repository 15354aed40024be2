#include "engine/decoder.h"

#include <torch/types.h>

#include <vector>

#include "nn/experts.h"
#include "nn/latent_attention.h"
#include "nn/linear.h"
#include "nn/mlp.h"
#include "nn/qkv.h"
#include "nn/rms_norm.h"
#include "nn/router.h"

namespace foregate::engine {
namespace {

nn::AttentionShape shape_of(const models::GroupedQueryConfig& attention) {
  return {attention.num_heads, attention.num_kv_heads, attention.head_dim, attention.softmax_scale};
}

nn::LatentShape shape_of(const models::LatentConfig& attention) {
  return {.num_heads = attention.num_heads,
          .kv_rank = attention.kv_rank,
          .nope_dim = attention.nope_dim,
          .rope_dim = attention.rope_dim,
          .value_dim = attention.value_dim,
          .scale = attention.softmax_scale};
}

}  // namespace

struct Decoder::Batch {
  const DecoderStep& step;
  nn::PackedTexts texts;
};

Decoder::Decoder(const models::ModelConfig& config, models::DecoderWeights weights,
                 torch::Device device, torch::ScalarType dtype)
    : config_(config),
      weights_(std::move(weights)),
      rope_(std::visit([](const auto& kind) { return kind.rotary; }, config.attention), device,
            dtype),
      experts_(weights_.layers, device) {}

torch::Tensor Decoder::forward(const DecoderStep& step, EngineObserver& observer) {
  const Batch batch{step, nn::PackedTexts(step.cu_seqlens, step.token_ids.device())};
  torch::Tensor residual = weights_.embedding.index_select(0, step.token_ids);
  int moe_layer = 0;
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const models::LayerWeights& layer = weights_.layers[i];
    const models::MoeWeights* moe = layer.moe();
    if (moe != nullptr) observer.on_layer_input(moe_layer, residual);
    std::visit(
        [&](const auto& attention) {
          // A temporary: the MLP needs its memory.
          attend(attention, i, nn::rms_norm(residual, layer.input_norm, config_.rms_norm_epsilon),
                 batch, residual);
        },
        layer.attention);
    const torch::Tensor input =
        nn::rms_norm(residual, layer.post_attention_norm, config_.rms_norm_epsilon);
    if (moe != nullptr) {
      run_moe(*moe, moe_layer++, input, residual, observer);
    } else {
      nn::add_mlp(residual, input, std::get<nn::MlpWeights>(layer.mlp));
    }
  }
  return weights_.lm_head.defined() ? next_token_logits(residual, batch) : torch::Tensor();
}

void Decoder::attend(const models::GroupedQueryAttention& attention, size_t layer,
                     const torch::Tensor& input, const Batch& batch, torch::Tensor& residual) {
  const DecoderStep& step = batch.step;
  const nn::AttentionShape shape =
      shape_of(std::get<models::GroupedQueryConfig>(config_.attention));
  const torch::Tensor qkv =
      nn::rotated_qkv(input,
                      {attention.qkv, attention.qkv_bias, attention.query_norm, attention.key_norm,
                       config_.rms_norm_epsilon},
                      shape, rope_, step.positions, step.max_position);
  const torch::Tensor mixed =
      step.cache == nullptr
          ? nn::attention(qkv, batch.texts, shape)
          : nn::cached_attention(qkv, batch.texts, step.pages, shape, step.cache->layer(layer));
  nn::add_linear(residual, mixed, attention.output);
}

void Decoder::attend(const models::LatentAttention& attention, size_t layer,
                     const torch::Tensor& input, const Batch& batch, torch::Tensor& residual) {
  const DecoderStep& step = batch.step;
  const auto& config = std::get<models::LatentConfig>(config_.attention);
  const nn::LatentShape shape = shape_of(config);
  const nn::LatentRows rows =
      nn::rotated_latents(input,
                          {attention.query_down, attention.query_norm, attention.query,
                           attention.latent, attention.latent_norm, config.norm_epsilon},
                          shape, rope_, step.positions, step.max_position);
  const torch::Tensor mixed =
      step.cache == nullptr
          ? nn::latent_attention(rows, batch.texts, attention.expand, shape)
          : nn::cached_latent_attention(rows, batch.texts, step.pages, attention.expand, shape,
                                        step.cache->layer(layer));
  nn::add_linear(residual, mixed, attention.output);
}

void Decoder::run_moe(const models::MoeWeights& moe, int moe_layer, const torch::Tensor& input,
                      torch::Tensor& residual, EngineObserver& observer) {
  const torch::Tensor logits = nn::router_logits(input, moe.router);
  const nn::Routing routing = nn::route(logits, config_.router, moe.router_biases, config_.top_k);
  observer.on_router({.moe_layer = moe_layer,
                      .router_input = input,
                      .logits = logits,
                      .experts = routing.experts,
                      .gate_weights = routing.gate_weights});
  if (!moe.experts.gate_up.defined()) return;
  experts_.use(moe_layer, moe.experts, [&](const nn::ExpertWeights& experts) {
    nn::add_experts(residual, input, routing, experts);
  });
  if (moe.shared.gate_up.defined()) nn::add_mlp(residual, input, moe.shared, moe.shared_gate);
}

torch::Tensor Decoder::next_token_logits(const torch::Tensor& residual, const Batch& batch) const {
  std::vector<int64_t> last;
  for (const int32_t end : batch.texts.cu_seqlens.subspan(1)) last.push_back(end - 1);
  const torch::Tensor rows = residual.index_select(0, torch::tensor(last).to(residual.device()));
  const torch::Tensor hidden = nn::rms_norm(rows, weights_.final_norm, config_.rms_norm_epsilon);
  return at::linear(hidden, weights_.lm_head).to(torch::kFloat32);
}

}  // namespace foregate::engine
