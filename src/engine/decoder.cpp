#include "engine/decoder.h"

#include <torch/types.h>

#include <vector>

#include "nn/experts.h"
#include "nn/latent_attention.h"
#include "nn/layer_norm.h"
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

int64_t window_of(const models::GroupedQueryConfig& attention, size_t layer) {
  return attention.windows.empty() ? 0 : attention.windows[layer];
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

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind that is not here does not compile
torch::Tensor Decoder::normalized(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias) const {
  switch (config_.norm) {
    case models::NormKind::kRms:
      return nn::rms_norm(x, weight, config_.rms_norm_epsilon);
    case models::NormKind::kLayer:
      return nn::layer_norm(x, weight, bias, config_.rms_norm_epsilon);
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

template <typename Work>
void Decoder::add_branch(torch::Tensor& residual, const Work& work) const {
  if (config_.multipliers.residual == 1) {
    work(residual);
    return;
  }
  torch::Tensor branch = torch::zeros_like(residual);
  work(branch);
  residual.add_(branch, config_.multipliers.residual);
}

torch::Tensor Decoder::forward(const DecoderStep& step, EngineObserver& observer) {
  const Batch batch{step, nn::PackedTexts(step.cu_seqlens, step.token_ids.device())};
  torch::Tensor residual = weights_.embedding.index_select(0, step.token_ids);
  if (config_.multipliers.embedding != 1) residual.mul_(config_.multipliers.embedding);
  int moe_layer = 0;
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const models::LayerWeights& layer = weights_.layers[i];
    const models::MoeWeights* moe = layer.moe();
    if (moe != nullptr) observer.on_layer_input(moe_layer, residual);
    std::visit(
        [&](const auto& attention) {
          // A temporary: the MLP needs its memory.
          attend(attention, i, normalized(residual, layer.input_norm, layer.input_norm_bias), batch,
                 residual);
        },
        layer.attention);
    const torch::Tensor input =
        normalized(residual, layer.post_attention_norm, layer.post_attention_norm_bias);
    if (moe != nullptr) {
      run_moe(*moe, moe_layer++, input, residual, observer);
    } else {
      add_branch(residual, [&](torch::Tensor& sum) {
        nn::add_mlp(sum, input, std::get<nn::MlpWeights>(layer.mlp));
      });
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
  const nn::LayerAttention here{
      .window = window_of(std::get<models::GroupedQueryConfig>(config_.attention), layer),
      .sinks = attention.sinks};
  const torch::Tensor mixed = step.cache == nullptr
                                  ? nn::attention(qkv, batch.texts, shape, here)
                                  : nn::cached_attention(qkv, batch.texts, step.pages, shape,
                                                         step.cache->layer(layer), here);
  add_branch(residual, [&](torch::Tensor& sum) {
    nn::add_linear(sum, mixed, attention.output, attention.output_bias);
  });
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
  add_branch(residual, [&](torch::Tensor& sum) { nn::add_linear(sum, mixed, attention.output); });
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
    add_branch(residual,
               [&](torch::Tensor& sum) { nn::add_experts(sum, input, routing, experts); });
  });
  if (!moe.shared.gate_up.defined()) return;
  add_branch(residual,
             [&](torch::Tensor& sum) { nn::add_mlp(sum, input, moe.shared, moe.shared_gate); });
}

torch::Tensor Decoder::next_token_logits(const torch::Tensor& residual, const Batch& batch) const {
  std::vector<int64_t> last;
  for (const int32_t end : batch.texts.cu_seqlens.subspan(1)) last.push_back(end - 1);
  const torch::Tensor rows = residual.index_select(0, torch::tensor(last).to(residual.device()));
  const torch::Tensor hidden = normalized(rows, weights_.final_norm, weights_.final_norm_bias);
  torch::Tensor logits =
      at::linear(hidden, weights_.lm_head, weights_.lm_head_bias).to(torch::kFloat32);
  return config_.multipliers.logits == 1 ? logits : logits.mul_(config_.multipliers.logits);
}

}  // namespace foregate::engine
