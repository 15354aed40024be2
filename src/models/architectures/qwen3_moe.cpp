#include "models/architecture.h"

namespace foregate::models {

/// Qwen3-MoE: query and key normalised per head, no shared expert, MoE layers by
/// decoder_sparse_step and mlp_only_layers.
Architecture qwen3_moe() {
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  return {.model_type = "qwen3_moe",
          .config = {.window = ConfigTable::Window::kWhenUsed,
                     .qk_norm = QkNorm::kHead,
                     .layers = ConfigTable::Layers::kBySparseStep,
                     // transformers 5 saves the count under a name of its own.
                     .num_experts = {"num_experts", "num_local_experts"}},
          .spellings = {names}};
}

}  // namespace foregate::models
