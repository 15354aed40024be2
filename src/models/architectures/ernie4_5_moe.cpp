#include "models/architecture.h"

namespace foregate::models {

/// ERNIE 4.5 (text): softmax routers with a bias that chooses, shared experts as one MLP.
Architecture ernie4_5_moe() {
  WeightNames names = llama_weight_names();
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  add_shared_experts_names(names);
  names.router_choice_bias = "model.layers.{L}.mlp.moe_statics.e_score_correction_bias";
  names.router_choice_bias_is_row = true;
  return {.model_type = "ernie4_5_moe",
          .config = {.rotary_pairs = nn::Rotary::Pairs::kInterleaved,
                     .layers = ConfigTable::Layers::kByInterval,
                     .only = {{"use_bias", false}},
                     .num_experts = {"moe_num_experts"},
                     .top_k = "moe_k",
                     // Published configs are older than moe_norm_min, whose default it is.
                     .router = {.norm_topk = true, .min_sum = 1e-12},
                     .norm_topk = nullptr,
                     .min_sum = "moe_norm_min",
                     .router_choice_bias = true,
                     .shared_count = "moe_num_shared_experts"},
          .spellings = {names}};
}

}  // namespace foregate::models
