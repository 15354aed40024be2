#pragma once

#include <torch/types.h>

#include <variant>
#include <vector>

#include "nn/experts.h"
#include "nn/mlp.h"
#include "tensor/weight/weight.h"

namespace foregate::models {

/// What an MoE layer has in place of a dense MLP.
struct MoeWeights {
  torch::Tensor router;            ///< [E, H] float32, on the engine's device
  nn::RouterBiases router_biases;  ///< on the engine's device
  nn::ExpertWeights experts;       ///< undefined where the experts are not run
  nn::MlpWeights shared;           ///< undefined without a shared expert
  torch::Tensor shared_gate;       ///< [1, H]; undefined without one
};

/// Weights of GroupedQueryConfig.
struct GroupedQueryAttention {
  tensor::Weight qkv;         ///< [(heads + 2 kv heads) * D, H]
  torch::Tensor qkv_bias;     ///< [(heads + 2 kv heads) * D]; undefined without biases
  torch::Tensor query_norm;   ///< [D] or [heads * D]; undefined without one
  torch::Tensor key_norm;     ///< [D] or [kv heads * D]; undefined without one
  tensor::Weight output;      ///< [H, heads * D]
  torch::Tensor output_bias;  ///< [H]; undefined without one
  torch::Tensor sinks;        ///< [heads] float32; undefined without
};

/// Weights of LatentConfig.
struct LatentAttention {
  tensor::Weight query_down;  ///< [R, H]; undefined: queries are made of the hidden state
  torch::Tensor query_norm;   ///< [R]; undefined without query_down
  tensor::Weight query;       ///< [heads * (nope + rope), R or H]
  tensor::Weight latent;      ///< [kv_rank + rope, H]
  torch::Tensor latent_norm;  ///< [kv_rank]
  tensor::Weight expand;      ///< [heads * (nope + value), kv_rank]
  tensor::Weight output;      ///< [H, heads * value]
};

/// One decoder layer. Tensors are in the compute dtype.
struct LayerWeights {
  torch::Tensor input_norm;                                        ///< [H]
  torch::Tensor input_norm_bias;                                   ///< [H]; undefined of an RMSNorm
  std::variant<GroupedQueryAttention, LatentAttention> attention;  ///< of the kind of the config's
  torch::Tensor post_attention_norm;                               ///< [H]
  torch::Tensor post_attention_norm_bias;                          ///< [H]; undefined of an RMSNorm
  std::variant<nn::MlpWeights, MoeWeights> mlp;

  /// Null in dense layers.
  const MoeWeights* moe() const { return std::get_if<MoeWeights>(&mlp); }
  MoeWeights* moe() { return std::get_if<MoeWeights>(&mlp); }
};

struct DecoderWeights {
  torch::Tensor embedding;           ///< [V, H]
  std::vector<LayerWeights> layers;  ///< those that are run
  // Undefined if only routing is wanted.
  torch::Tensor final_norm;       ///< [H]
  torch::Tensor final_norm_bias;  ///< [H]; undefined of an RMSNorm
  torch::Tensor lm_head;          ///< [V, H]
  torch::Tensor lm_head_bias;     ///< [V]; undefined without one
};

}  // namespace foregate::models
