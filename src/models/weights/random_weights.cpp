#include "models/weights/random_weights.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "models/weights/layers.h"

namespace foregate::models {
namespace {

constexpr double kDeviation = 0.02;
constexpr uint64_t kSeed = 1;

class RandomWeights {
 public:
  RandomWeights(const ModelConfig& config, const LoadOptions& options)
      : config_(config),
        options_(torch::TensorOptions().device(options.device).dtype(options.dtype)),
        quantization_(options.quantization) {}

  torch::Tensor draw(at::IntArrayRef shape) const {
    return torch::empty(shape, options_).normal_(0.0, kDeviation);
  }

  // Drawn one of the first dimension's at a time: a whole stack in float32 may not fit.
  tensor::Weight draw_weight(at::IntArrayRef shape) const {
    if (quantization_ == tensor::Quantization::kNone) return draw(shape);
    tensor::Weight weight =
        tensor::Weight::empty(shape, quantization_, options_.device(), torch::kFloat32);
    if (shape.size() == 2) {
      weight.assign(draw(shape), "random weights");
      return weight;
    }
    for (int64_t i = 0; i < shape[0]; ++i) {
      weight[i].assign(draw(shape.slice(1)), "random weights");
    }
    return weight;
  }

  LayerWeights layer(int64_t index, bool with_experts) const {
    const int64_t query = config_.num_heads * config_.head_dim;
    const int64_t qkv = query + 2 * config_.num_kv_heads * config_.head_dim;
    LayerWeights weights;
    weights.input_norm = torch::ones({config_.hidden_size}, options_);
    weights.qkv = draw_weight({qkv, config_.hidden_size});
    if (config_.qkv_bias) weights.qkv_bias = torch::zeros({qkv}, options_);
    if (config_.qk_norm != QkNorm::kNone) {
      const bool whole = config_.qk_norm == QkNorm::kProjection;
      weights.query_norm = torch::ones({whole ? query : config_.head_dim}, options_);
      weights.key_norm = torch::ones({whole ? (qkv - query) / 2 : config_.head_dim}, options_);
    }
    weights.attention_output = draw_weight({config_.hidden_size, query});
    weights.post_attention_norm = torch::ones({config_.hidden_size}, options_);
    if (config_.is_moe_layer(index)) {
      weights.moe = moe(with_experts);
    } else {
      weights.dense = mlp(config_.dense_intermediate_size);
    }
    return weights;
  }

 private:
  nn::MlpWeights mlp(int64_t inner) const {
    return {draw_weight({2 * inner, config_.hidden_size}),
            draw_weight({config_.hidden_size, inner})};
  }

  MoeWeights moe(bool with_experts) const {
    MoeWeights weights;
    weights.router = draw({config_.num_experts, config_.hidden_size}).to(torch::kFloat32);
    if (!with_experts) return weights;
    const int64_t inner = config_.expert_intermediate_size;
    weights.experts = {draw_weight({config_.num_experts, 2 * inner, config_.hidden_size}),
                       draw_weight({config_.num_experts, config_.hidden_size, inner})};
    if (config_.shared_intermediate_size > 0)
      weights.shared = mlp(config_.shared_intermediate_size);
    if (config_.shared_expert_gate) weights.shared_gate = draw({1, config_.hidden_size});
    return weights;
  }

  const ModelConfig& config_;
  torch::TensorOptions options_;
  tensor::Quantization quantization_;
};

}  // namespace

DecoderWeights random_weights(const ModelConfig& config, const LoadOptions& options) {
  torch::manual_seed(kSeed);
  const RandomWeights source(config, options);
  DecoderWeights weights;
  weights.embedding = source.draw({config.vocab_size, config.hidden_size});
  weights.layers = make_layers(config, options, [&](int64_t layer, bool with_experts) {
    return source.layer(layer, with_experts);
  });
  if (options.routing_only) return weights;
  weights.final_norm = torch::ones({config.hidden_size}, weights.embedding.options());
  weights.lm_head = config.tie_word_embeddings
                        ? weights.embedding
                        : source.draw({config.vocab_size, config.hidden_size});
  return weights;
}

}  // namespace foregate::models
