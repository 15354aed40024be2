#include "models/architecture.h"

namespace foregate::models {

/// Phi-3.5-MoE: LayerNorms and biases around Mixtral's tensors, experts chosen by a sparsemixer. Of
/// its longrope the short factors are run, as transformers 5 does: longer texts are refused.
Architecture phimoe() {
  WeightNames published = llama_weight_names();
  add_layer_norm_names(published);
  published.router = "model.layers.{L}.block_sparse_moe.gate.weight";
  published.expert_gate = "model.layers.{L}.block_sparse_moe.experts.{E}.w1.weight";
  published.expert_up = "model.layers.{L}.block_sparse_moe.experts.{E}.w3.weight";
  published.expert_down = "model.layers.{L}.block_sparse_moe.experts.{E}.w2.weight";
  WeightNames in_memory = llama_weight_names();
  add_layer_norm_names(in_memory);
  add_mlp_expert_names(in_memory);
  in_memory.router = "model.layers.{L}.mlp.router.weight";
  return {.model_type = "phimoe",
          .config = {.window = ConfigTable::Window::kWhenGiven,
                     .qkv_bias = "attention_bias",
                     .qkv_bias_if_absent = false,
                     .output_bias = true,
                     .norm = NormKind::kLayer,
                     .lm_head_bias = true,
                     .longrope = true,
                     .num_experts = {"num_local_experts"},
                     .expert_size = "intermediate_size",
                     // router_jitter_noise, which the published file leaves out, acts when it runs.
                     .router = {.score = trace::RouterSpec::Score::kSparsemixer, .jitter = 0.01},
                     .norm_topk = nullptr,
                     .jitter = "router_jitter_noise"},
          .spellings = {published, in_memory}};
}

}  // namespace foregate::models
