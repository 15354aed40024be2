#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// What sets one architecture's config.json apart from the others'. What all have alike (sizes,
/// heads, rotation, activation, experts per token) is not in it.
struct ConfigTable {
  /// How a sliding window that would cut off positions is asked for. It is refused, unless it is
  /// by layer.
  enum class Window : uint8_t {
    kNever,         ///< there is no such key
    kWhenGiven,     ///< by sliding_window alone
    kBehindLayers,  ///< from layer max_window_layers on, or by layer_types, with sliding_window
    kWhenUsed,      ///< by use_sliding_window or layer_types, with sliding_window
    kByLayer,       ///< by layer_types, or every second layer from the first on: not refused
  };
  /// Which layers are MoE layers.
  enum class Layers : uint8_t {
    kAll,
    kBySparseStep,  ///< decoder_sparse_step, mlp_only_layers
    kDenseFirst,    ///< first_k_dense_replace, moe_layer_freq; or mlp_layer_types, one by one
    kByInterval,    ///< moe_layer_start_index, moe_layer_end_index, moe_layer_interval
  };
  enum class Attention : uint8_t { kGroupedQuery, kLatent };
  /// How a router's groups of experts are asked for.
  enum class Groups : uint8_t {
    kNever,
    kByCount,   ///< n_group, topk_group
    kByMethod,  ///< the same, if topk_method is group_limited_greedy and not greedy
  };
  /// A list of ones.
  struct AllOnes {};
  /// A key that may be there, and the only value that is implemented; nullptr: null or absent.
  struct OnlyValue {
    const char* key;
    std::variant<std::nullptr_t, bool, int64_t, const char*, AllOnes> value;
  };

  /// Key of the object that describes the decoder, and what its model_type may be; nullptr: it is
  /// config.json itself.
  const char* decoder = nullptr;
  std::vector<const char*> decoder_types{};

  Attention attention = Attention::kGroupedQuery;
  Window window = Window::kNever;
  /// Key of the projections' biases, and what its absence means; nothing: it must be there. Without
  /// a key there are none, and attention_bias must not ask for them.
  const char* qkv_bias = nullptr;
  std::optional<bool> qkv_bias_if_absent{};
  bool output_bias = false;  ///< where there are these biases the output projection has one, too
  bool sinks = false;
  bool multipliers = false;  ///< as Granite has them: see Multipliers, and attention_multiplier
  bool silu_unless_said = false;  ///< hidden_act may be absent
  NormKind norm = NormKind::kRms;
  bool lm_head_bias = false;    ///< by lm_head_bias; else there is none
  bool longrope = false;        ///< there may be one: see read_rotary
  bool spelled_rotary = false;  ///< rope_scaling or rope_parameters must be there
  QkNorm qk_norm = QkNorm::kNone;
  const char* qk_norm_switch = nullptr;  ///< key without which there is no such norm
  nn::Rotary::Pairs rotary_pairs = nn::Rotary::Pairs::kHalves;
  const char* interleaved = nullptr;  ///< key that may say that pairs are not interleaved
  bool partial_rotary =
      false;  ///< partial_rotary_factor or rotary_dim says how much of a head turns
  Layers layers = Layers::kAll;
  std::vector<OnlyValue> only{};
  /// Key of a limit to texts beside max_position_embeddings.
  const char* longest_text = nullptr;

  std::vector<const char*> num_experts{"num_experts"};  ///< keys; the first that is there counts
  const char* expert_size = "moe_intermediate_size";
  const char* top_k = "num_experts_per_tok";
  bool expert_bias = false;
  bool clamped_swiglu = false;  ///< by swiglu_limit and swiglu_alpha
  trace::RouterSpec router{};
  const char* norm_topk = "norm_topk_prob";  ///< key; nullptr: as in `router`
  const char* min_sum = nullptr;             ///< keys of the spec's fields; absent: as in `router`
  const char* jitter = nullptr;
  const char* scale = nullptr;
  Groups groups = Groups::kNever;
  bool router_logit_bias = false;  ///< see nn::RouterBiases
  bool router_choice_bias = false;

  const char* shared_size = nullptr;   ///< key; nullptr: no shared expert of a size of its own
  const char* shared_count = nullptr;  ///< key: so many experts' width, null and absent: none
  bool shared_gate = false;
};

/// An architecture: how its config.json reads, and what its tensors are called. Each has a file in
/// architectures/. docs/adding-a-model.md tells how to add one.
struct Architecture {
  std::string model_type;
  ConfigTable config;
  /// Spellings that checkpoints use, the published one first.
  std::vector<WeightNames> spellings;
};

/// Reads and checks a config.json of this architecture. Throws DataError: a key is missing, or its
/// value is outside what is implemented.
ModelConfig parse_config(const Architecture& architecture, const JsonReader& reader);

}  // namespace foregate::models
