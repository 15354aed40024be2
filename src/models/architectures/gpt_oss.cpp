#include "models/architecture.h"

namespace foregate::models {

/// gpt-oss (OpenAI 2025): a window on every second layer, attention sinks, biases everywhere, and
/// experts of a clamped SwiGLU whose gates and ups alternate. Published files keep the experts in
/// MXFP4; in bfloat16 they lie transposed.
Architecture gpt_oss() {
  WeightNames names = llama_weight_names();
  names.sinks = "model.layers.{L}.self_attn.sinks";
  names.router = "model.layers.{L}.mlp.router.weight";
  names.router_logit_bias = "model.layers.{L}.mlp.router.bias";
  names.fused_expert_gate_up = "model.layers.{L}.mlp.experts.gate_up_proj";
  names.fused_expert_down = "model.layers.{L}.mlp.experts.down_proj";
  names.fused_expert_gate_up_bias = "model.layers.{L}.mlp.experts.gate_up_proj_bias";
  names.fused_expert_down_bias = "model.layers.{L}.mlp.experts.down_proj_bias";
  names.fused_transposed = true;
  names.fused_interleaved = true;
  return {.model_type = "gpt_oss",
          .config = {.window = ConfigTable::Window::kByLayer,
                     .qkv_bias = "attention_bias",
                     .qkv_bias_if_absent = true,
                     .output_bias = true,
                     .sinks = true,
                     .spelled_rotary = true,  // transformers takes a missing one for YaRN
                     .num_experts = {"num_local_experts", "num_experts"},
                     .expert_size = "intermediate_size",
                     .expert_bias = true,
                     .clamped_swiglu = true,
                     .router = {.score = trace::RouterSpec::Score::kSoftmaxOfChosen},
                     .norm_topk = nullptr,
                     .router_logit_bias = true},
          .spellings = {names}};
}

}  // namespace foregate::models
