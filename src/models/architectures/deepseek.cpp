#include "models/architecture.h"

namespace foregate::models {

/// DeepSeek-MoE-16B: the first layers dense, shared experts (one wide MLP) that are always added.
/// Not DeepSeek-V2 or V3, whose attention and routers differ.
Architecture deepseek() {
  WeightNames names = llama_weight_names();
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  add_shared_experts_names(names);
  return {.model_type = "deepseek",
          .config = {.layers = ConfigTable::Layers::kDenseFirst,
                     .only = {{"scoring_func", "softmax"}},
                     .num_experts = {"n_routed_experts"},
                     .shared_count = "n_shared_experts"},
          .spellings = {names}};
}

}  // namespace foregate::models
