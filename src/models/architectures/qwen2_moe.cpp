#include "models/architecture.h"

namespace foregate::models {

/// Qwen1.5-MoE and Qwen2-MoE: softmax router, a shared expert behind a sigmoid gate, MoE layers by
/// decoder_sparse_step and mlp_only_layers.
Architecture qwen2_moe() {
  WeightNames names = llama_weight_names();
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  names.shared_gate = "model.layers.{L}.mlp.shared_expert.gate_proj.weight";
  names.shared_up = "model.layers.{L}.mlp.shared_expert.up_proj.weight";
  names.shared_down = "model.layers.{L}.mlp.shared_expert.down_proj.weight";
  names.shared_expert_gate = "model.layers.{L}.mlp.shared_expert_gate.weight";
  return {.model_type = "qwen2_moe",
          .config = {.window = ConfigTable::Window::kWhenUsed,
                     // Published checkpoints are older than the key, and have the biases.
                     .qkv_bias = "qkv_bias",
                     .qkv_bias_if_absent = true,
                     .layers = ConfigTable::Layers::kBySparseStep,
                     .shared_size = "shared_expert_intermediate_size",
                     .shared_gate = true},
          .spellings = {names}};
}

}  // namespace foregate::models
