#include "engine/decoder.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "engine/experts/cached_experts.h"
#include "engine/experts/device_experts.h"
#include "engine/trace_geometry.h"
#include "nn/attention/latent_attention.h"
#include "nn/cuda/paged_attention.h"
#include "nn/cuda/thin.h"
#include "nn/experts.h"
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

std::unique_ptr<ExpertStore> make_cached_store(const std::vector<models::LayerWeights>& layers,
                                               const trace::Geometry& geometry,
                                               torch::Device device,
                                               const ExpertCacheOptions& options) {
  if (options.on_device) {
    return std::make_unique<DeviceExperts>(layers, geometry, device, options);
  }
  return std::make_unique<CachedExperts>(layers, geometry, device, options);
}

}  // namespace

Decoder::Decoder(const models::ModelConfig& config, models::DecoderWeights weights,
                 torch::Device device, torch::ScalarType dtype,
                 const std::optional<ExpertCacheOptions>& cache)
    : config_(config),
      weights_(std::move(weights)),
      rope_(std::visit([](const auto& kind) { return kind.rotary; }, config.attention), device,
            dtype),
      experts_(cache ? make_cached_store(weights_.layers, geometry_of(config_), device, *cache)
                     : make_expert_store(weights_.layers, device)) {
  if (device.is_cuda()) {
    route_counters_ =
        torch::zeros({nn::kRouteCounters}, torch::dtype(torch::kInt32).device(device));
  }
}

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
  torch::Tensor residual = weights_.embedding.index_select(0, step.token_ids);
  if (config_.multipliers.embedding != 1) residual.mul_(config_.multipliers.embedding);
  int moe_layer = 0;
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const models::LayerWeights& layer = weights_.layers[i];
    const models::MoeWeights* moe = layer.moe();
    if (moe != nullptr) {
      observer.on_layer_input(moe_layer, residual);
      experts_->begin_layer(moe_layer);
    }
    std::visit([&](const auto& attention) { attend(attention, i, step, residual); },
               layer.attention);
    if (moe != nullptr) {
      run_moe(layer, *moe, moe_layer++, residual, observer);
    } else {
      const torch::Tensor input =
          normalized(residual, layer.post_attention_norm, layer.post_attention_norm_bias);
      add_branch(residual, [&](torch::Tensor& sum) {
        nn::add_mlp(sum, input, std::get<nn::MlpWeights>(layer.mlp));
      });
    }
  }
  return weights_.lm_head.defined() ? next_token_logits(residual, step.texts) : torch::Tensor();
}

bool Decoder::can_record_steps() const {
  const auto* attention = std::get_if<models::GroupedQueryConfig>(&config_.attention);
  if (attention == nullptr || !weights_.lm_head.defined() || !weights_.lm_head.is_cuda() ||
      !experts_->runs_on_device(1)) {
    return false;
  }
  const auto row_of = [&](int64_t size) {
    return torch::empty({1, size}, weights_.embedding.options());
  };
  const nn::AttentionShape shape = shape_of(*attention);
  const torch::Tensor hidden = row_of(config_.hidden_size);
  const torch::Tensor mixed = row_of(shape.num_heads * shape.head_dim);
  if (!nn::has_paged_attention_cuda(row_of(shape.qkv_size()), shape)) return false;
  int moe_layer = 0;
  const auto runs_alone = [&](const models::LayerWeights& layer) {
    const auto& weights = std::get<models::GroupedQueryAttention>(layer.attention);
    if (!nn::has_thin_linear_cuda(hidden, weights.qkv) ||
        !nn::has_thin_linear_cuda(mixed, weights.output)) {
      return false;
    }
    if (const models::MoeWeights* moe = layer.moe()) {
      return nn::has_thin_experts_cuda(hidden, experts_->shape_of(moe_layer++), moe->shared) &&
             nn::routes_on_gpu(config_.router, moe->router_biases);
    }
    const auto& mlp = std::get<nn::MlpWeights>(layer.mlp);
    return nn::has_thin_linear_cuda(hidden, mlp.gate_up) &&
           nn::has_thin_linear_cuda(row_of(mlp.down.size(1)), mlp.down);
  };
  return std::ranges::all_of(weights_.layers, runs_alone);
}

void Decoder::attend(const models::GroupedQueryAttention& attention, size_t layer,
                     const DecoderStep& step, torch::Tensor& residual) {
  const models::LayerWeights& weights = weights_.layers[layer];
  const bool by_the_way = config_.norm == models::NormKind::kRms;
  const nn::AttentionShape shape =
      shape_of(std::get<models::GroupedQueryConfig>(config_.attention));
  const torch::Tensor qkv = nn::rotated_qkv(
      by_the_way ? residual : normalized(residual, weights.input_norm, weights.input_norm_bias),
      {attention.qkv, attention.qkv_bias, attention.query_norm, attention.key_norm,
       config_.rms_norm_epsilon, by_the_way ? weights.input_norm : torch::Tensor()},
      shape, rope_, step.positions, step.max_position);
  const nn::LayerAttention here{
      .window = window_of(std::get<models::GroupedQueryConfig>(config_.attention), layer),
      .sinks = attention.sinks};
  const torch::Tensor mixed = step.cache == nullptr
                                  ? nn::attention(qkv, step.texts, shape, here)
                                  : nn::cached_attention(qkv, step.texts, step.pages, shape,
                                                         step.cache->layer(layer), here);
  add_branch(residual, [&](torch::Tensor& sum) {
    nn::add_linear(sum, mixed, attention.output, attention.output_bias);
  });
}

void Decoder::attend(const models::LatentAttention& attention, size_t layer,
                     const DecoderStep& step, torch::Tensor& residual) {
  const models::LayerWeights& weights = weights_.layers[layer];
  const auto& config = std::get<models::LatentConfig>(config_.attention);
  const nn::LatentShape shape = shape_of(config);
  const nn::LatentRows rows =
      nn::rotated_latents(normalized(residual, weights.input_norm, weights.input_norm_bias),
                          {attention.query_down, attention.query_norm, attention.query,
                           attention.latent, attention.latent_norm, config.norm_epsilon},
                          shape, rope_, step.positions, step.max_position);
  const torch::Tensor mixed =
      step.cache == nullptr
          ? nn::latent_attention(rows, step.texts, attention.expand, shape)
          : nn::cached_latent_attention(rows, step.texts, step.pages, attention.expand, shape,
                                        step.cache->layer(layer));
  add_branch(residual, [&](torch::Tensor& sum) { nn::add_linear(sum, mixed, attention.output); });
}

nn::RoutedRows Decoder::routed(const models::LayerWeights& layer, const models::MoeWeights& moe,
                               const torch::Tensor& residual) const {
  if (config_.norm == models::NormKind::kRms) {
    return nn::route_normalized({residual, layer.post_attention_norm, config_.rms_norm_epsilon},
                                moe.router, config_.router, moe.router_biases, config_.top_k,
                                route_counters_);
  }
  const torch::Tensor input =
      normalized(residual, layer.post_attention_norm, layer.post_attention_norm_bias);
  const torch::Tensor logits = nn::router_logits(input, moe.router);
  return {input, logits, nn::route(logits, config_.router, moe.router_biases, config_.top_k)};
}

void Decoder::run_moe(const models::LayerWeights& layer, const models::MoeWeights& moe,
                      int moe_layer, torch::Tensor& residual, EngineObserver& observer) {
  const nn::RoutedRows rows = routed(layer, moe, residual);
  experts_->see_router_input(moe_layer, rows.input);
  observer.on_router({.moe_layer = moe_layer,
                      .router_input = rows.input,
                      .logits = rows.logits,
                      .experts = rows.routing.experts,
                      .gate_weights = rows.routing.gate_weights});
  if (!moe.experts.gate_up.defined()) return;
  add_branch(residual, [&](torch::Tensor& sum) { add_experts(sum, moe, moe_layer, rows); });
}

void Decoder::add_experts(torch::Tensor& residual, const models::MoeWeights& moe, int moe_layer,
                          const nn::RoutedRows& routed) {
  const torch::Tensor& input = routed.input;
  const nn::Routing& routing = routed.routing;
  const nn::ExpertWeights shape = experts_->shape_of(moe_layer);
  const ExpertRequest request{
      .moe_layer = moe_layer,
      .routing = routing,
      .at_once = nn::has_thin_experts_cuda(input, shape, moe.shared) && residual.is_contiguous()};
  std::unique_ptr<nn::ExpertOutputs> outputs;  // of experts that come apart
  experts_->use(request, [&](const ExpertView& view) {
    if (!view.whole) {
      if (!outputs) outputs = nn::make_expert_outputs(input, routing, shape.num_experts());
      outputs->run(view.experts);
      return;
    }
    const auto rows = [&](const torch::Tensor& all) {
      return all.narrow(0, view.first_token, view.num_tokens);
    };
    torch::Tensor sum = rows(residual);
    nn::add_experts_and_shared(
        sum, rows(input), {rows(routing.experts), rows(routing.gate_weights)}, view.experts,
        moe.shared, moe.shared_gate,
        view.num_tokens == input.size(0) ? routed.before : nn::RowsBeforeNorm{});
  });
  if (!outputs) return;
  outputs->add_to(residual);
  if (moe.shared.gate_up.defined()) nn::add_mlp(residual, input, moe.shared, moe.shared_gate);
}

torch::Tensor Decoder::next_token_logits(const torch::Tensor& residual,
                                         const nn::PackedTexts& texts) const {
  std::vector<int64_t> last;
  for (const int32_t end : texts.cu_seqlens.subspan(1)) last.push_back(end - 1);
  const bool all = static_cast<int64_t>(last.size()) == residual.size(0);
  const torch::Tensor rows =
      all ? residual : residual.index_select(0, torch::tensor(last).to(residual.device()));
  const torch::Tensor hidden = normalized(rows, weights_.final_norm, weights_.final_norm_bias);
  torch::Tensor logits = nn::linear_in_float(hidden, weights_.lm_head, weights_.lm_head_bias);
  return config_.multipliers.logits == 1 ? logits : logits.mul_(config_.multipliers.logits);
}

}  // namespace foregate::engine
