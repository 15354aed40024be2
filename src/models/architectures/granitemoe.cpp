#include "models/architecture.h"

namespace foregate::models {

/// Granite 3.0 and 3.1 MoE, PowerMoE: Mixtral with four multipliers, the softmax taken over the
/// chosen experts. Their tensors are called as published, or as transformers 5 names them in
/// memory.
Architecture granitemoe() {
  WeightNames published = llama_weight_names();
  published.router = "model.layers.{L}.block_sparse_moe.router.layer.weight";
  published.fused_expert_gate_up = "model.layers.{L}.block_sparse_moe.input_linear.weight";
  published.fused_expert_down = "model.layers.{L}.block_sparse_moe.output_linear.weight";
  WeightNames in_memory = llama_weight_names();
  in_memory.router = "model.layers.{L}.block_sparse_moe.router.weight";
  in_memory.fused_expert_gate_up = "model.layers.{L}.block_sparse_moe.experts.gate_up_proj";
  in_memory.fused_expert_down = "model.layers.{L}.block_sparse_moe.experts.down_proj";
  return {.model_type = "granitemoe",
          .config = {.qkv_bias = "attention_bias",
                     .qkv_bias_if_absent = false,
                     .output_bias = true,
                     .multipliers = true,
                     .silu_unless_said = true,
                     .num_experts = {"num_local_experts"},
                     .expert_size = "intermediate_size",
                     .router = {.score = trace::RouterSpec::Score::kSoftmaxOfChosen},
                     .norm_topk = nullptr},
          .spellings = {published, in_memory}};
}

}  // namespace foregate::models
