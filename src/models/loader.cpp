#include "models/loader.h"

#include <torch/torch.h>

#include "models/registry.h"
#include "models/weight_plan.h"
#include "tensor/checkpoint.h"

namespace foregate {
namespace {

// Reads one layer's tensors, fusing those that are multiplied together. Destinations are made once,
// on the device, and filled piece by piece.
class LayerLoader {
 public:
  LayerLoader(const Checkpoint& checkpoint, const ModelConfig& config, const WeightNames& names,
              const LoadOptions& options, int64_t layer)
      : checkpoint_(checkpoint), config_(config), names_(names), options_(options), layer_(layer) {}

  LayerWeights load(bool with_experts) {
    LayerWeights weights;
    weights.input_norm = read(names_.input_norm);
    const std::vector<std::string> qkv = {names_.query, names_.key, names_.value};
    weights.qkv = read_rows(with_suffix(qkv, ".weight"));
    if (config_.qkv_bias) weights.qkv_bias = read_rows(with_suffix(qkv, ".bias"));
    if (config_.qk_norm != QkNorm::kNone) {
      weights.query_norm = read(names_.query_norm);
      weights.key_norm = read(names_.key_norm);
    }
    weights.attention_output = read(names_.attention_output + ".weight");
    weights.post_attention_norm = read(names_.post_attention_norm);
    if (config_.is_moe_layer(layer_)) {
      weights.moe = load_moe(with_experts);
    } else {
      weights.dense = {read_rows({names_.dense_gate, names_.dense_up}), read(names_.dense_down)};
    }
    return weights;
  }

 private:
  MoeWeights load_moe(bool with_experts) {
    MoeWeights moe;
    moe.router =
        torch::empty({config_.num_experts, config_.hidden_size},
                     torch::TensorOptions().device(options_.device).dtype(torch::kFloat32));
    fill(moe.router, names_.router);
    if (!with_experts) return moe;
    moe.experts = load_experts();
    if (config_.shared_intermediate_size > 0) {
      moe.shared = {read_rows({names_.shared_gate, names_.shared_up}), read(names_.shared_down)};
    }
    if (config_.shared_expert_gate) moe.shared_gate = read(names_.shared_expert_gate);
    return moe;
  }

  nn::ExpertWeights load_experts() {
    if (checkpoint_.find(weight_name(names_.fused_expert_gate_up, layer_)) != nullptr) {
      return {read(names_.fused_expert_gate_up), read(names_.fused_expert_down)};
    }
    const int64_t inner = config_.expert_intermediate_size;
    nn::ExpertWeights experts = {empty({config_.num_experts, 2 * inner, config_.hidden_size}),
                                 empty({config_.num_experts, config_.hidden_size, inner})};
    for (int64_t expert = 0; expert < config_.num_experts; ++expert) {
      fill(experts.gate_up[expert].narrow(0, 0, inner), names_.expert_gate, expert);
      fill(experts.gate_up[expert].narrow(0, inner, inner), names_.expert_up, expert);
      fill(experts.down[expert], names_.expert_down, expert);
    }
    return experts;
  }

  static std::vector<std::string> with_suffix(std::vector<std::string> patterns,
                                              const char* suffix) {
    for (std::string& pattern : patterns) pattern += suffix;
    return patterns;
  }

  torch::Tensor empty(at::IntArrayRef shape) const {
    return torch::empty(shape,
                        torch::TensorOptions().device(options_.device).dtype(options_.dtype));
  }

  void fill(torch::Tensor destination, const std::string& pattern, int64_t expert = 0) const {
    const std::string name = weight_name(pattern, layer_, expert);
    destination.copy_(checkpoint_.tensor(name));
    checkpoint_.release_pages(name);
  }

  torch::Tensor read(const std::string& pattern) const {
    torch::Tensor weight = empty(checkpoint_.tensor(weight_name(pattern, layer_)).sizes());
    fill(weight, pattern);
    return weight;
  }

  // Several tensors, one below the other.
  torch::Tensor read_rows(const std::vector<std::string>& patterns) const {
    std::vector<int64_t> shape;
    for (const std::string& pattern : patterns) {
      const auto& part = checkpoint_.find(weight_name(pattern, layer_))->shape;
      if (shape.empty()) {
        shape = part;
      } else {
        shape[0] += part[0];
      }
    }
    torch::Tensor weight = empty(shape);
    int64_t row = 0;
    for (const std::string& pattern : patterns) {
      const int64_t rows = checkpoint_.find(weight_name(pattern, layer_))->shape[0];
      fill(weight.narrow(0, row, rows), pattern);
      row += rows;
    }
    return weight;
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const WeightNames& names_;
  const LoadOptions& options_;
  int64_t layer_;
};

torch::Tensor read_whole(const Checkpoint& checkpoint, const std::string& name,
                         const LoadOptions& options) {
  torch::Tensor weight = checkpoint.tensor(name).to(options.device, options.dtype,
                                                    /*non_blocking=*/false, /*copy=*/true);
  checkpoint.release_pages(name);
  return weight;
}

}  // namespace

DecoderWeights load_weights(const std::filesystem::path& directory, const ModelConfig& config,
                            const LoadOptions& options) {
  const Checkpoint checkpoint(directory);
  const WeightNames names =
      choose_names(config, find_architecture(config.model_type).weight_names(), checkpoint);
  verify_weights(checkpoint, plan_weights(config, names, checkpoint, options.routing_only));
  DecoderWeights weights;
  weights.embedding = read_whole(checkpoint, names.embedding, options);
  const int64_t last_moe = config.moe_layers.back();
  const int64_t layers = options.routing_only ? last_moe + 1 : config.num_layers;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool with_experts = !options.routing_only || layer != last_moe;
    weights.layers.push_back(
        LayerLoader(checkpoint, config, names, options, layer).load(with_experts));
  }
  if (options.routing_only) return weights;
  weights.final_norm = read_whole(checkpoint, names.final_norm, options);
  weights.lm_head = config.tie_word_embeddings ? weights.embedding
                                               : read_whole(checkpoint, names.lm_head, options);
  return weights;
}

}  // namespace foregate
