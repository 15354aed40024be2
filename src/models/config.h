#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/weights/checkpoint_format.h"
#include "models/weights/weight_names.h"
#include "nn/gated_activation.h"
#include "nn/rotary.h"
#include "trace/router_spec.h"

namespace foregate::models {

enum class QkNorm {
  kNone,
  kHead,        ///< RMSNorm of every head by itself, one weight [D] for all heads
  kProjection,  ///< RMSNorm of all heads together, weights [heads * D] and [kv heads * D]
};

/// Attention whose query heads share key-value heads in groups (Ainslie et al. 2023), rotated.
struct GroupedQueryConfig {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool output_bias = false;
  bool sinks = false;              ///< one a head: see nn::LayerAttention
  std::vector<int64_t> windows{};  ///< [decoder layers]: see nn::LayerAttention; empty: no window
  QkNorm qk_norm = QkNorm::kNone;  ///< of query and key, before the rotation
  nn::Rotary rotary{};
  std::optional<double> softmax_scale{};  ///< nothing: 1 / sqrt(head_dim)

  int64_t query_size() const { return num_heads * head_dim; }
  int64_t key_size() const { return num_kv_heads * head_dim; }  ///< and that of values
  int64_t qkv_size() const { return query_size() + 2 * key_size(); }
};

/// Multi-head latent attention: see nn::LatentShape.
struct LatentConfig {
  int64_t num_heads = 0;
  int64_t query_rank =
      0;  ///< of the latent that queries are made of; 0: of the hidden state itself
  int64_t kv_rank = 0;
  int64_t nope_dim = 0;
  int64_t rope_dim = 0;
  int64_t value_dim = 0;
  double softmax_scale = 1;
  double norm_epsilon = 0;  ///< of the latents' norms
  nn::Rotary rotary{};      ///< of rope_dim elements

  int64_t query_size() const { return num_heads * (nope_dim + rope_dim); }
  int64_t latent_size() const { return kv_rank + rope_dim; }  ///< what a token leaves in the cache
  int64_t expanded_size() const { return num_heads * (nope_dim + value_dim); }
  int64_t mixed_size() const { return num_heads * value_dim; }
};

/// The kinds of attention that there are. Whatever differs between them visits it.
using AttentionConfig = std::variant<GroupedQueryConfig, LatentConfig>;

enum class NormKind : uint8_t {
  kRms,    ///< RMSNorm
  kLayer,  ///< LayerNorm, with a bias
};

/// Factors that Granite puts between its parts; all 1 in most models.
struct Multipliers {
  double embedding = 1;  ///< of the embedded tokens
  double residual = 1;   ///< of what a layer's attention and MLP add to the residual stream
  double logits = 1;     ///< of what is said of the next token
};

/// Geometry of a decoder-only MoE model: everything that config.json decides and the engine
/// computes by. Architectures fill it; the decoder does not know which one did.
struct ModelConfig {
  std::string model_type;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t max_positions = 0;                                  ///< longest text
  const char* max_positions_key = "max_position_embeddings";  ///< of config.json, that says so
  NormKind norm = NormKind::kRms;                             ///< of the residual stream
  double rms_norm_epsilon = 0;                                ///< of either kind
  bool lm_head_bias = false;
  bool tie_word_embeddings = false;
  CheckpointFormat storage;  ///< how the checkpoint keeps its matrices
  /// What checkpoints of the architecture call their tensors, the published spelling first.
  std::vector<WeightNames> spellings;

  AttentionConfig attention;
  Multipliers multipliers{};

  int64_t dense_intermediate_size = 0;  ///< of layers that are not MoE layers; 0 if there are none
  std::vector<int> moe_layers;          ///< decoder layer index of each MoE layer, rising
  int64_t num_experts = 0;
  int64_t top_k = 0;
  trace::RouterSpec router;
  bool router_logit_bias = false;   ///< routers have a bias on logits
  bool router_choice_bias = false;  ///< routers have a bias on the scores that choose
  int64_t expert_intermediate_size = 0;
  bool expert_bias = false;                 ///< routed experts' projections have biases
  nn::GatedActivation expert_activation{};  ///< of routed experts
  int64_t shared_intermediate_size = 0;     ///< 0: no shared expert
  bool shared_expert_gate = false;          ///< the shared expert is scaled by a sigmoid of x

  bool is_moe_layer(int64_t layer) const {
    return std::binary_search(moe_layers.begin(), moe_layers.end(), layer);
  }
};

}  // namespace foregate::models
