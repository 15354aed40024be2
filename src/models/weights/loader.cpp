#include "models/weights/loader.h"

#include <torch/types.h>

#include "models/registry.h"
#include "models/weights/layers.h"
#include "models/weights/stored_weight.h"
#include "models/weights/weight_plan.h"
#include "tensor/device/upload.h"
#include "tensor/files/checkpoint.h"

namespace foregate::models {
namespace {

/// Reads tensors into room made for them on the device.
class WeightReader {
 public:
  WeightReader(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
               const LoadOptions& options)
      : checkpoint_(checkpoint), storage_(storage), options_(options) {}

  /// Room for a matrix, or for a stack of them.
  tensor::Weight empty(at::IntArrayRef shape) const {
    return tensor::Weight::empty(shape, options_.quantization, options_.device, options_.dtype);
  }

  void fill(const tensor::Weight& matrix, const std::string& name) const {
    fill_from(storage_, matrix, name);
  }

  /// A tensor that is never quantised.
  torch::Tensor read(const std::string& name, torch::ScalarType dtype) const {
    torch::Tensor tensor =
        torch::empty(checkpoint_.tensor(name).sizes(),
                     torch::TensorOptions().device(options_.device).dtype(dtype));
    fill_from(CheckpointFormat{}, tensor, name);
    return tensor;
  }
  torch::Tensor read(const std::string& name) const { return read(name, options_.dtype); }

 private:
  void fill_from(const CheckpointFormat& storage, const tensor::Weight& destination,
                 const std::string& name) const {
    read_stored(checkpoint_, storage, name, destination.sizes(),
                [&](int64_t first, const tensor::Weight& rows) {
                  destination.narrow(first, rows.size(0))
                      .assign(on_device(rows), checkpoint_.directory().string() + ": " + name);
                });
  }

  // Where it is converted or quantised.
  tensor::Weight on_device(const tensor::Weight& rows) const {
    if (!rows.is_quantized()) return uploader_.upload(rows.dense());
    return {rows.quantization(), uploader_.upload(rows.codes()), uploader_.upload(rows.scales()),
            rows.size(-1)};
  }

  const tensor::Checkpoint& checkpoint_;
  const CheckpointFormat& storage_;
  const LoadOptions& options_;
  mutable tensor::Uploader uploader_{options_.device};
};

// Reads one layer's tensors, fusing those that are multiplied together. Destinations are made once
// and filled piece by piece.
class LayerLoader {
 public:
  LayerLoader(const tensor::Checkpoint& checkpoint, const ModelConfig& config,
              const WeightNames& names, const WeightReader& reader, int64_t layer)
      : checkpoint_(checkpoint), config_(config), names_(names), reader_(reader), layer_(layer) {}

  LayerWeights load(bool with_experts) const {
    LayerWeights weights;
    weights.input_norm = read(names_.input_norm);
    load_attention(weights);
    weights.post_attention_norm = read(names_.post_attention_norm);
    if (config_.is_moe_layer(layer_)) {
      weights.moe = load_moe(with_experts);
    } else {
      weights.dense = load_mlp(names_.dense_gate, names_.dense_up, names_.dense_down,
                               config_.dense_intermediate_size);
    }
    return weights;
  }

 private:
  void load_attention(LayerWeights& weights) const {
    const int64_t query = config_.num_heads * config_.head_dim;
    const int64_t key = config_.num_kv_heads * config_.head_dim;
    weights.qkv = reader_.empty({query + 2 * key, config_.hidden_size});
    fill(weights.qkv.narrow(0, query), names_.query + ".weight");
    fill(weights.qkv.narrow(query, key), names_.key + ".weight");
    fill(weights.qkv.narrow(query + key, key), names_.value + ".weight");
    if (config_.qkv_bias) {
      weights.qkv_bias = torch::cat(
          {read(names_.query + ".bias"), read(names_.key + ".bias"), read(names_.value + ".bias")});
    }
    if (config_.qk_norm != QkNorm::kNone) {
      weights.query_norm = read(names_.query_norm);
      weights.key_norm = read(names_.key_norm);
    }
    weights.attention_output = reader_.empty({config_.hidden_size, query});
    fill(weights.attention_output, names_.attention_output + ".weight");
  }

  nn::MlpWeights load_mlp(const std::string& gate, const std::string& up, const std::string& down,
                          int64_t inner) const {
    nn::MlpWeights mlp{reader_.empty({2 * inner, config_.hidden_size}),
                       reader_.empty({config_.hidden_size, inner})};
    fill(mlp.gate_up.narrow(0, inner), gate);
    fill(mlp.gate_up.narrow(inner, inner), up);
    fill(mlp.down, down);
    return mlp;
  }

  MoeWeights load_moe(bool with_experts) const {
    MoeWeights moe;
    moe.router = reader_.read(weight_name(names_.router, layer_), torch::kFloat32);
    if (!with_experts) return moe;
    moe.experts = load_experts();
    if (config_.shared_intermediate_size > 0) {
      moe.shared = load_mlp(names_.shared_gate, names_.shared_up, names_.shared_down,
                            config_.shared_intermediate_size);
    }
    if (config_.shared_expert_gate) moe.shared_gate = read(names_.shared_expert_gate);
    return moe;
  }

  nn::ExpertWeights load_experts() const {
    const int64_t inner = config_.expert_intermediate_size;
    nn::ExpertWeights experts{reader_.empty({config_.num_experts, 2 * inner, config_.hidden_size}),
                              reader_.empty({config_.num_experts, config_.hidden_size, inner})};
    if (checkpoint_.find(weight_name(names_.fused_expert_gate_up, layer_)) != nullptr) {
      fill(experts.gate_up, names_.fused_expert_gate_up);
      fill(experts.down, names_.fused_expert_down);
      return experts;
    }
    for (int64_t expert = 0; expert < config_.num_experts; ++expert) {
      fill(experts.gate_up[expert].narrow(0, inner), names_.expert_gate, expert);
      fill(experts.gate_up[expert].narrow(inner, inner), names_.expert_up, expert);
      fill(experts.down[expert], names_.expert_down, expert);
    }
    return experts;
  }

  void fill(const tensor::Weight& matrix, const std::string& pattern, int64_t expert = 0) const {
    reader_.fill(matrix, weight_name(pattern, layer_, expert));
  }

  torch::Tensor read(const std::string& pattern) const {
    return reader_.read(weight_name(pattern, layer_));
  }

  const tensor::Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const WeightNames& names_;
  const WeightReader& reader_;
  int64_t layer_;
};

}  // namespace

DecoderWeights load_weights(const std::filesystem::path& directory, const ModelConfig& config,
                            const LoadOptions& options) {
  const tensor::Checkpoint checkpoint(directory);
  const WeightNames names =
      choose_names(config, find_architecture(config.model_type).weight_names(), checkpoint);
  verify_weights(checkpoint, plan_weights(config, names, checkpoint, options.routing_only),
                 config.storage);
  const WeightReader reader(checkpoint, config.storage, options);
  DecoderWeights weights;
  weights.embedding = reader.read(names.embedding);
  weights.layers = make_layers(config, options, [&](int64_t layer, bool with_experts) {
    return LayerLoader(checkpoint, config, names, reader, layer).load(with_experts);
  });
  if (options.routing_only) return weights;
  weights.final_norm = reader.read(names.final_norm);
  weights.lm_head = config.tie_word_embeddings ? weights.embedding : reader.read(names.lm_head);
  return weights;
}

}  // namespace foregate::models
