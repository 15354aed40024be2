#include "engine/memory_needs.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace foregate::engine {
namespace {

constexpr int64_t kFloatBytes = 4;

class Needs {
 public:
  Needs(const models::ModelConfig& config, tensor::Quantization quantization,
        torch::ScalarType dtype, torch::Device device)
      : config_(config),
        quantization_(quantization),
        element_(static_cast<int64_t>(c10::elementSize(dtype))),
        on_cpu_(device.is_cpu()),
        fused_(device.is_cuda() && dtype == torch::kBFloat16),
        query_(config.num_heads * config.head_dim),
        qkv_(query_ + 2 * config.num_kv_heads * config.head_dim) {}

  int64_t weights() const {
    const int last = config_.moe_layers.back();
    int64_t bytes = config_.vocab_size * config_.hidden_size * element_;
    for (int layer = 0; layer <= last; ++layer) {
      bytes += attention_weights();
      if (!config_.is_moe_layer(layer)) {
        bytes += mlp_weights(config_.dense_intermediate_size);
        continue;
      }
      bytes += config_.num_experts * config_.hidden_size * kFloatBytes;
      if (layer == last) continue;
      bytes += layer_experts();
      if (config_.shared_intermediate_size > 0) {
        bytes += mlp_weights(config_.shared_intermediate_size);
      }
      if (config_.shared_expert_gate) bytes += config_.hidden_size * element_;
    }
    return bytes;
  }

  int64_t layer_experts() const {
    return config_.num_experts * mlp_weights(config_.expert_intermediate_size);
  }

  // The CPU dequantises an expert a thread, a GPU all experts of a layer together.
  int64_t scratch() const {
    if (quantization_ == tensor::Quantization::kNone) return 0;
    const int64_t experts = on_cpu_ ? std::min<int64_t>(at::get_num_threads(), config_.num_experts)
                                    : config_.num_experts;
    const int64_t inner =
        std::max(2 * std::max(config_.shared_intermediate_size, config_.dense_intermediate_size),
                 experts * 2 * config_.expert_intermediate_size);
    return std::max(inner, qkv_) * config_.hidden_size * element_;
  }

  int64_t per_token() const {
    const int64_t hidden = config_.hidden_size;
    const int64_t attention = 2 * qkv_ + query_ + hidden;
    const int64_t routed =
        config_.top_k * (fused_ ? hidden + config_.expert_intermediate_size
                                : 2 * hidden + 3 * config_.expert_intermediate_size);
    const int64_t shared = 3 * config_.shared_intermediate_size + hidden;
    const int64_t dense = 3 * config_.dense_intermediate_size + hidden;
    const int64_t layer = 2 * hidden + std::max({attention, routed + hidden, shared, dense});
    // Logits, their softmax and order; experts and gate weights of all layers, and logits if they
    // are recorded.
    const auto moe_layers = static_cast<int64_t>(config_.moe_layers.size());
    const int64_t router = 4 * config_.num_experts * kFloatBytes;
    const int64_t recorded = moe_layers * (config_.top_k * 6 + config_.num_experts * 2);
    return layer * element_ + router + recorded;
  }

 private:
  int64_t matrix(int64_t rows, int64_t columns) const {
    return tensor::matrix_bytes(quantization_, rows, columns, element_);
  }
  int64_t mlp_weights(int64_t inner) const {
    return matrix(2 * inner, config_.hidden_size) + matrix(config_.hidden_size, inner);
  }
  int64_t attention_weights() const {
    int64_t vectors = 2 * config_.hidden_size + (config_.qkv_bias ? qkv_ : 0);
    if (config_.qk_norm == models::QkNorm::kHead) vectors += 2 * config_.head_dim;
    if (config_.qk_norm == models::QkNorm::kProjection) vectors += query_ + (qkv_ - query_) / 2;
    return matrix(qkv_, config_.hidden_size) + matrix(config_.hidden_size, query_) +
           vectors * element_;
  }

  const models::ModelConfig& config_;
  tensor::Quantization quantization_;
  int64_t element_;
  bool on_cpu_;
  bool fused_;     ///< gate and up rows of the routed experts never lie in memory
  int64_t query_;  ///< widths of the projections
  int64_t qkv_;
};

}  // namespace

MemoryNeeds memory_needs(const models::ModelConfig& config, tensor::Quantization quantization,
                         torch::ScalarType dtype, torch::Device device) {
  const Needs needs(config, quantization, dtype, device);
  return {needs.weights(), needs.scratch(), needs.per_token(), needs.layer_experts(),
          static_cast<int64_t>(config.moe_layers.size()) - 1};
}

}  // namespace foregate::engine
