#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace foregate::models {

/// What an architecture calls its tensors. "{L}" stands for the decoder layer, "{E}" for the
/// expert. An empty name: the architecture has no such tensor.
struct WeightNames {
  std::string prefix;  ///< in front of every name: of a decoder that is a part of a larger model

  std::string embedding;
  std::string final_norm;
  std::string final_norm_bias;
  std::string lm_head;
  std::string lm_head_bias;

  std::string input_norm;
  std::string input_norm_bias;
  std::string query;  ///< query, key, value and output without ".weight" or ".bias"
  std::string key;
  std::string value;
  std::string attention_output;
  std::string sinks;
  std::string query_norm;
  std::string key_norm;
  std::string query_down;  ///< of latent attention, whose direct queries are `query`
  std::string query_down_norm;
  std::string query_up;
  std::string latent;
  std::string latent_norm;
  std::string latent_expand;
  std::string post_attention_norm;
  std::string post_attention_norm_bias;

  std::string dense_gate;
  std::string dense_up;
  std::string dense_down;

  std::string router;
  std::string router_logit_bias;
  std::string router_choice_bias;
  bool router_choice_bias_is_row = false;  ///< [1, E] instead of [E]
  std::string expert_gate;
  std::string expert_up;
  std::string expert_down;
  std::string expert_gate_bias;  ///< of single experts; empty: they are fused
  std::string expert_up_bias;
  std::string expert_down_bias;
  std::string fused_expert_gate_up;       ///< one tensor [E, 2I, H] instead of E gates and E ups
  std::string fused_expert_down;          ///< one tensor [E, H, I] instead of E downs
  std::string fused_expert_gate_up_bias;  ///< [E, 2I]
  std::string fused_expert_down_bias;     ///< [E, H]
  /// How the fused tensors lie: see ExpertLayout. Without names of single experts they are always
  /// fused.
  bool fused_transposed = false;
  bool fused_interleaved = false;

  std::string shared_gate;
  std::string shared_up;
  std::string shared_down;
  std::string shared_expert_gate;

  /// Beginnings of names of tensors inside the layers that are known and have no use here.
  std::vector<std::string> unread{};
};

/// What nearly all call alike: embedding, norms, attention, lm_head. The rest is empty.
WeightNames llama_weight_names(const std::string& prefix = "");
/// The same with block_sparse_moe and its experts' w1, w3, w2.
WeightNames mixtral_weight_names();
/// Fills in mlp.{gate,up,down}_proj.
void add_dense_mlp_names(WeightNames& names);
/// Fills in mlp.gate and mlp.experts, one by one and fused.
void add_mlp_expert_names(WeightNames& names);
/// Fills in the biases of LayerNorms and of lm_head.
void add_layer_norm_names(WeightNames& names);
/// Fills in self_attn.{q,k}_norm.
void add_qk_norm_names(WeightNames& names);
/// Fills in DeepSeek's self_attn.{q_a,q_b,kv_a,kv_b} and their norms.
void add_latent_names(WeightNames& names);
/// Fills in mlp.shared_experts.
void add_shared_experts_names(WeightNames& names);

/// `pattern` with "{L}" and "{E}" replaced.
std::string weight_name(const std::string& pattern, int64_t layer, int64_t expert = 0);

}  // namespace foregate::models
