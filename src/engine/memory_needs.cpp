#include "engine/memory_needs.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "models/weights/layer_spec.h"

namespace foregate::engine {
namespace {

constexpr int64_t kFloatBytes = 4;

// Projected and, turned, once more; and what attention makes of them.
int64_t attention_values(const models::GroupedQueryConfig& attention) {
  return 2 * attention.qkv_size() + attention.query_size();
}

// Queries and latent rows; the latter expanded, then put side by side with the queries, each as
// wide as the widest; what attention makes of them, and the part of it that counts.
int64_t attention_values(const models::LatentConfig& attention) {
  const int64_t width =
      attention.num_heads * std::max(attention.nope_dim + attention.rope_dim, attention.value_dim);
  return attention.query_size() + attention.query_rank + attention.latent_size() +
         attention.expanded_size() + 6 * width + attention.mixed_size();
}

class Needs {
 public:
  Needs(const models::ModelConfig& config, tensor::Quantization quantization,
        torch::ScalarType dtype, torch::Device device)
      : config_(config),
        quantization_(quantization),
        element_(static_cast<int64_t>(c10::elementSize(dtype))),
        on_cpu_(device.is_cpu()),
        fused_(device.is_cuda() && dtype == torch::kBFloat16),
        attention_(std::visit([&](const auto& kind) { return attention_values(kind); },
                              config.attention)) {}

  int64_t whole_weights() const {
    const models::OuterWeightSpecs outer = models::describe_outer_weights(config_, {});
    int64_t bytes = bytes_of(outer.embedding) + bytes_of(outer.final_norm);
    if (!config_.tie_word_embeddings) bytes += bytes_of(outer.lm_head);
    if (outer.final_norm_bias) bytes += bytes_of(*outer.final_norm_bias);
    if (outer.lm_head_bias) bytes += bytes_of(*outer.lm_head_bias);
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      for (const models::WeightSpec& spec : models::describe_layer(config_, {}, layer)) {
        bytes += bytes_of(spec);
      }
    }
    return bytes;
  }

  int64_t routing_weights() const {
    int64_t bytes = bytes_of(models::describe_outer_weights(config_, {}).embedding);
    const int last = config_.moe_layers.back();
    for (int layer = 0; layer <= last; ++layer) {
      for (const models::WeightSpec& spec : models::describe_layer(config_, {}, layer)) {
        if (layer < last || spec.role == models::Role::kRouting) bytes += bytes_of(spec);
      }
    }
    return bytes;
  }

  int64_t expert() const {
    int64_t bytes = 0;
    for (const models::WeightSpec& spec :
         models::describe_layer(config_, {}, config_.moe_layers.back())) {
      const bool is_matrix = spec.keep == models::Keep::kQuantizable;
      if (spec.role == models::Role::kRoutedExperts && is_matrix) bytes += bytes_of(spec);
    }
    return bytes / config_.num_experts;
  }

  int64_t layer_experts() const {
    int64_t bytes = 0;
    for (const models::WeightSpec& spec :
         models::describe_layer(config_, {}, config_.moe_layers.back())) {
      if (spec.role == models::Role::kRoutedExperts) bytes += bytes_of(spec);
    }
    return bytes;
  }

  // The largest weight. The CPU dequantises an expert a thread, a GPU all experts of a layer
  // together.
  int64_t scratch() const {
    if (quantization_ == tensor::Quantization::kNone) return 0;
    int64_t largest = 0;
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      for (const models::WeightSpec& spec : models::describe_layer(config_, {}, layer)) {
        if (spec.keep != models::Keep::kQuantizable) continue;
        const int64_t stacked = spec.shape.size() == 3 ? spec.shape.front() : 1;
        const int64_t together =
            on_cpu_ ? std::min<int64_t>(at::get_num_threads(), stacked) : stacked;
        largest = std::max(largest, spec.size() / stacked * together);
      }
    }
    return largest * element_;
  }

  int64_t per_token() const {
    const int64_t hidden = config_.hidden_size;
    const int64_t attention = attention_ + hidden;
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
  int64_t bytes_of(const models::WeightSpec& spec) const {
    switch (spec.keep) {
      case models::Keep::kQuantizable: {
        const int64_t columns = spec.shape.back();
        return tensor::matrix_bytes(quantization_, spec.size() / columns, columns, element_);
      }
      case models::Keep::kComputeDtype:
        return spec.size() * element_;
      case models::Keep::kFloat32:
        return spec.size() * kFloatBytes;
    }
    TORCH_CHECK(false, "a weight that is kept in no known way");
  }

  const models::ModelConfig& config_;
  tensor::Quantization quantization_;
  int64_t element_;
  bool on_cpu_;
  bool fused_;         ///< gate and up rows of the routed experts never lie in memory
  int64_t attention_;  ///< values of one token that attention holds at once
};

}  // namespace

int64_t expert_bytes(const models::ModelConfig& config, tensor::Quantization quantization,
                     torch::ScalarType dtype) {
  return Needs(config, quantization, dtype, torch::kCPU).expert();
}

MemoryNeeds memory_needs(const models::ModelConfig& config, tensor::Quantization quantization,
                         torch::ScalarType dtype, torch::Device device, Extent extent) {
  const Needs needs(config, quantization, dtype, device);
  const bool whole = extent == Extent::kWhole;
  return {.weights = whole ? needs.whole_weights() : needs.routing_weights(),
          .scratch = needs.scratch(),
          .per_token = needs.per_token(),
          .layer_experts = needs.layer_experts(),
          .expert_layers = static_cast<int64_t>(config.moe_layers.size()) - (whole ? 0 : 1)};
}

}  // namespace foregate::engine
