#include "engine/decoder.h"

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "nn/experts.h"
#include "nn/mlp.h"
#include "nn/qk_norm.h"
#include "nn/rms_norm.h"
#include "nn/router.h"

namespace foregate {

struct Decoder::Batch {
  const torch::Tensor& positions;
  std::span<const int32_t> cu_seqlens;
  int64_t longest;  ///< tokens of the longest text
};

Decoder::Decoder(const ModelConfig& config, DecoderWeights weights, torch::Device device,
                 torch::ScalarType dtype)
    : config_(config),
      weights_(std::move(weights)),
      attention_shape_{config.num_heads, config.num_kv_heads, config.head_dim},
      rope_(config.head_dim, config.rope_theta, device, dtype) {}

void Decoder::forward(const torch::Tensor& token_ids, const torch::Tensor& positions,
                      std::span<const int32_t> cu_seqlens, EngineObserver& observer) {
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
    longest = std::max<int64_t>(longest, cu_seqlens[i + 1] - cu_seqlens[i]);
  }
  const Batch batch{positions, cu_seqlens, longest};
  torch::Tensor residual = weights_.embedding.index_select(0, token_ids);
  int moe_layer = 0;
  for (const LayerWeights& layer : weights_.layers) {
    if (layer.moe) observer.on_layer_input(moe_layer, residual);
    attend(layer, batch, residual);
    const torch::Tensor input =
        nn::rms_norm(residual, layer.post_attention_norm, config_.rms_norm_epsilon);
    if (layer.moe) {
      run_moe(*layer.moe, moe_layer++, input, residual, observer);
    } else {
      residual.add_(nn::mlp(input, *layer.dense));
    }
  }
  if (weights_.lm_head.defined()) observer.on_next_token_logits(next_token_logits(residual, batch));
}

void Decoder::attend(const LayerWeights& layer, const Batch& batch, torch::Tensor& residual) {
  const torch::Tensor input = nn::rms_norm(residual, layer.input_norm, config_.rms_norm_epsilon);
  torch::Tensor qkv = at::linear(input, layer.qkv, layer.qkv_bias);
  if (layer.query_norm.defined()) {
    nn::qk_norm(qkv, layer.query_norm, layer.key_norm, attention_shape_, config_.rms_norm_epsilon);
  }
  rope_.apply(qkv, batch.positions, config_.num_heads + config_.num_kv_heads, batch.longest - 1);
  const torch::Tensor mixed = nn::attention(qkv, batch.cu_seqlens, attention_shape_);
  residual.add_(at::linear(mixed, layer.attention_output));
}

void Decoder::run_moe(const MoeWeights& moe, int moe_layer, const torch::Tensor& input,
                      torch::Tensor& residual, EngineObserver& observer) const {
  const torch::Tensor logits = nn::router_logits(input, moe.router);
  const nn::Routing routing = nn::route(logits, config_.top_k, config_.norm_topk);
  observer.on_router({.moe_layer = moe_layer,
                      .router_input = input,
                      .logits = logits,
                      .experts = routing.experts,
                      .gate_weights = routing.gate_weights});
  if (!moe.experts.gate_up.defined()) return;
  residual.add_(nn::experts(input, routing, moe.experts));
  if (!moe.shared.gate_up.defined()) return;
  torch::Tensor shared = nn::mlp(input, moe.shared);
  if (moe.shared_gate.defined()) {
    residual.addcmul_(shared, at::linear(input, moe.shared_gate).sigmoid_());
  } else {
    residual.add_(shared);
  }
}

torch::Tensor Decoder::next_token_logits(const torch::Tensor& residual, const Batch& batch) const {
  std::vector<int64_t> last;
  for (const int32_t end : batch.cu_seqlens.subspan(1)) last.push_back(end - 1);
  const torch::Tensor rows = residual.index_select(0, torch::tensor(last).to(residual.device()));
  const torch::Tensor hidden = nn::rms_norm(rows, weights_.final_norm, config_.rms_norm_epsilon);
  return at::linear(hidden, weights_.lm_head).to(torch::kFloat32);
}

}  // namespace foregate
