#include "models/gguf/gguf_names.h"

#include <array>

namespace foregate::models {
namespace {

using Layout = GgufName::Layout;
using Names = WeightNames;

// https://github.com/ggml-org/llama.cpp, gguf-py/gguf/constants.py, TENSOR_NAMES
constexpr std::array kOuter = {
    GgufName{"token_embd.weight", &Names::embedding},
    GgufName{"output_norm.weight", &Names::final_norm},
    GgufName{"output.weight", &Names::lm_head},
};

constexpr std::array kLayer = {
    GgufName{"attn_norm.weight", &Names::input_norm},
    GgufName{"attn_q.weight", &Names::query, ".weight", Layout::kHeads},
    GgufName{"attn_q.bias", &Names::query, ".bias", Layout::kHeads},
    GgufName{"attn_k.weight", &Names::key, ".weight", Layout::kHeads},
    GgufName{"attn_k.bias", &Names::key, ".bias", Layout::kHeads},
    GgufName{"attn_v.weight", &Names::value, ".weight"},
    GgufName{"attn_v.bias", &Names::value, ".bias"},
    GgufName{"attn_output.weight", &Names::attention_output, ".weight"},
    GgufName{"attn_output.bias", &Names::attention_output, ".bias"},
    GgufName{"attn_sinks.weight", &Names::sinks},
    GgufName{"attn_q_norm.weight", &Names::query_norm},
    GgufName{"attn_k_norm.weight", &Names::key_norm},
    GgufName{"attn_q_a.weight", &Names::query_down},
    GgufName{"attn_q_a_norm.weight", &Names::query_down_norm},
    GgufName{"attn_q_b.weight", &Names::query_up},
    GgufName{"attn_kv_a_mqa.weight", &Names::latent},
    GgufName{"attn_kv_a_norm.weight", &Names::latent_norm},
    GgufName{"attn_k_b.weight", &Names::latent_expand, "", Layout::kHalfLatent},
    GgufName{"attn_v_b.weight", &Names::latent_expand, "", Layout::kHalfLatent},
    GgufName{"attn_kv_b.weight", &Names::latent_expand},
    GgufName{"post_attention_norm.weight", &Names::post_attention_norm},
    GgufName{"ffn_norm.weight", &Names::post_attention_norm},
    GgufName{"ffn_gate.weight", &Names::dense_gate},
    GgufName{"ffn_up.weight", &Names::dense_up},
    GgufName{"ffn_down.weight", &Names::dense_down},
    GgufName{"ffn_gate_inp.weight", &Names::router},
    GgufName{"ffn_gate_inp.bias", &Names::router_logit_bias},
    GgufName{"exp_probs_b.bias", &Names::router_choice_bias},
    GgufName{"ffn_gate_exps.weight", &Names::expert_gate, "", Layout::kEachExpert},
    GgufName{"ffn_up_exps.weight", &Names::expert_up, "", Layout::kEachExpert},
    GgufName{"ffn_down_exps.weight", &Names::expert_down, "", Layout::kEachExpert},
    GgufName{"ffn_gate_exps.bias", &Names::expert_gate_bias, "", Layout::kEachExpert},
    GgufName{"ffn_up_exps.bias", &Names::expert_up_bias, "", Layout::kEachExpert},
    GgufName{"ffn_down_exps.bias", &Names::expert_down_bias, "", Layout::kEachExpert},
    GgufName{"ffn_gate_up_exps.weight", &Names::expert_gate, "", Layout::kGateAndUp},
    GgufName{"ffn_gate_shexp.weight", &Names::shared_gate},
    GgufName{"ffn_up_shexp.weight", &Names::shared_up},
    GgufName{"ffn_down_shexp.weight", &Names::shared_down},
    GgufName{"ffn_gate_inp_shexp.weight", &Names::shared_expert_gate, "", Layout::kRow},
};

}  // namespace

WeightNames with_single_experts(WeightNames names) {
  if (!names.expert_gate.empty()) return names;
  const std::string expert = names.prefix + "model.layers.{L}.mlp.experts.{E}.";
  names.expert_gate = expert + "gate_proj.weight";
  names.expert_up = expert + "up_proj.weight";
  names.expert_down = expert + "down_proj.weight";
  if (!names.fused_expert_gate_up_bias.empty()) {
    names.expert_gate_bias = expert + "gate_proj.bias";
    names.expert_up_bias = expert + "up_proj.bias";
    names.expert_down_bias = expert + "down_proj.bias";
  }
  return names;
}

std::span<const GgufName> gguf_outer_names() {
  return kOuter;
}
std::span<const GgufName> gguf_layer_names() {
  return kLayer;
}

}  // namespace foregate::models
