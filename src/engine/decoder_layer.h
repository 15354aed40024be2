#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

#include "models/decoder_weights.h"
#include "nn/experts.h"
#include "nn/linear.h"
#include "nn/mlp.h"

namespace foregate {

/// The MoE part of a decoder layer, ready to run.
struct MoeBlock {
  explicit MoeBlock(const MoeWeights& weights);

  torch::Tensor router;                ///< [E, H] float32
  std::optional<nn::Experts> experts;  ///< none where nothing depends on their output
  std::optional<nn::Mlp> shared;
  torch::Tensor shared_gate;  ///< [1, H] float32; undefined if the shared expert is not scaled
};

/// One decoder layer, its weights in the layout that the ops want.
struct DecoderLayer {
  explicit DecoderLayer(const LayerWeights& weights);

  torch::Tensor input_norm;  ///< [H]
  nn::Linear qkv;
  nn::Linear attention_output;
  torch::Tensor post_attention_norm;  ///< [H]
  std::optional<nn::Mlp> dense;       ///< exactly one of these two
  std::optional<MoeBlock> moe;
};

/// Takes loaded layers over one by one, so that only one is ever held in both layouts.
std::vector<DecoderLayer> make_layers(std::vector<LayerWeights> weights);

}  // namespace foregate
