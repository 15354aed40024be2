#include "models/architectures/deepseek_family.h"

namespace foregate::models {
namespace {

void add_layer_names(WeightNames& names) {
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  add_shared_experts_names(names);
}

void add_choice_bias_name(WeightNames& names) {
  names.router_choice_bias = names.prefix + "model.layers.{L}.mlp.gate.e_score_correction_bias";
}

WeightNames latent_decoder_names(const std::string& prefix) {
  WeightNames names = llama_weight_names(prefix);
  add_latent_names(names);
  add_layer_names(names);
  return names;
}

}  // namespace

void use_deepseek_v3_router(ConfigTable& table) {
  table.only.insert(table.only.end(), {{"scoring_func", "sigmoid"},
                                       {"topk_method", "noaux_tc"},
                                       {"moe_layer_freq", int64_t{1}}});  // transformers ignores it
  table.num_experts = {"n_routed_experts"};
  table.router = {.score = trace::RouterSpec::Score::kSigmoid,
                  .epsilon = 1e-20,
                  .group_score = trace::RouterSpec::GroupScore::kSumOfTopTwo};
  table.scale = "routed_scaling_factor";
  table.groups = ConfigTable::Groups::kByCount;
  table.router_choice_bias = true;
  table.layers = ConfigTable::Layers::kDenseFirst;
  table.shared_count = "n_shared_experts";
}

ConfigTable deepseek_v3_table() {
  ConfigTable table{.attention = ConfigTable::Attention::kLatent,
                    .rotary_pairs = nn::Rotary::Pairs::kInterleaved,
                    .interleaved = "rope_interleave"};  // published configs are older than the key
  use_deepseek_v3_router(table);
  return table;
}

WeightNames deepseek_v2_names() {
  return latent_decoder_names("");
}

WeightNames deepseek_v3_names(const std::string& prefix) {
  WeightNames names = latent_decoder_names(prefix);
  add_choice_bias_name(names);
  return names;
}

Architecture deepseek_sparse_attention(const char* model_type) {
  ConfigTable table = deepseek_v3_table();
  table.interleaved = nullptr;
  table.only.push_back({"rope_interleave", true});
  table.longest_text = "index_topk";
  WeightNames names = deepseek_v3_names();
  names.unread = {"model.layers.{L}.self_attn.indexer."};
  return {.model_type = model_type, .config = table, .spellings = {names}};
}

void add_deepseek_v3_layer_names(WeightNames& names) {
  add_layer_names(names);
  add_choice_bias_name(names);
}

}  // namespace foregate::models
