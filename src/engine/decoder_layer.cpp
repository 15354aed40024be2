#include "engine/decoder_layer.h"

#include <torch/torch.h>

namespace foregate {

MoeBlock::MoeBlock(const MoeWeights& weights) : router(weights.router) {
  if (weights.experts.gate_up.defined()) experts.emplace(weights.experts);
  if (weights.shared.gate_up.defined()) shared.emplace(weights.shared);
  if (weights.shared_gate.defined()) shared_gate = weights.shared_gate.to(torch::kFloat32);
}

DecoderLayer::DecoderLayer(const LayerWeights& weights)
    : input_norm(weights.input_norm),
      qkv(weights.qkv, weights.qkv_bias),
      attention_output(weights.attention_output),
      post_attention_norm(weights.post_attention_norm) {
  if (weights.dense) dense.emplace(*weights.dense);
  if (weights.moe) moe.emplace(*weights.moe);
}

std::vector<DecoderLayer> make_layers(std::vector<LayerWeights> weights) {
  std::vector<DecoderLayer> layers;
  layers.reserve(weights.size());
  for (LayerWeights& layer : weights) {
    layers.emplace_back(layer);
    layer = {};
  }
  return layers;
}

}  // namespace foregate
