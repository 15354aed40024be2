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
  /// How a sliding window that would cut off positions is asked for. It is refused.
  enum class Window : uint8_t {
    kNever,      ///< there is no such key
    kWhenGiven,  ///< by sliding_window alone
    kWhenUsed,   ///< by use_sliding_window or layer_types, with sliding_window
  };
  /// Which layers are MoE layers.
  enum class Layers : uint8_t {
    kAll,
    kBySparseStep,  ///< decoder_sparse_step, mlp_only_layers
    kDenseFirst,    ///< first_k_dense_replace, moe_layer_freq
  };
  /// A key that may be there, and the only value that is implemented; nullptr: null or absent.
  struct OnlyValue {
    const char* key;
    std::variant<std::nullptr_t, bool, const char*> value;
  };

  Window window = Window::kNever;
  /// Key of the projections' biases; absent means that there are some. Without a key there are
  /// none, and attention_bias must not ask for them.
  const char* qkv_bias = nullptr;
  QkNorm qk_norm = QkNorm::kNone;
  Layers layers = Layers::kAll;
  std::vector<OnlyValue> only{};

  std::vector<const char*> num_experts{"num_experts"};  ///< keys; the first that is there counts
  const char* expert_size = "moe_intermediate_size";
  trace::RouterSpec router{};
  const char* norm_topk = "norm_topk_prob";  ///< key; nullptr: as in `router`
  bool router_logit_bias = false;            ///< see nn::RouterBiases
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
