#include "models/architecture.h"

namespace foregate::models {

/// MiniMax-M2, M2.5, M2.7: grouped queries of which a part turns, normalised over all heads, and
/// sigmoid routers with a bias that chooses. Tensors are called as Mixtral's.
Architecture minimax_m2() {
  WeightNames published = mixtral_weight_names();
  add_qk_norm_names(published);
  published.router_choice_bias = "model.layers.{L}.block_sparse_moe.e_score_correction_bias";
  return {.model_type = "minimax_m2",
          .config = {.qk_norm = QkNorm::kProjection,
                     .partial_rotary = true,
                     .only = {{"scoring_func", "sigmoid"},
                              {"use_qk_norm", true},
                              {"qk_norm_type", "per_layer"},
                              {"use_routing_bias", true},
                              {"shared_intermediate_size", int64_t{0}},
                              {"attn_type_list", ConfigTable::AllOnes{}}},
                     .num_experts = {"num_local_experts"},
                     .expert_size = "intermediate_size",
                     .router = {.score = trace::RouterSpec::Score::kSigmoid, .norm_topk = true},
                     .norm_topk = nullptr,
                     .router_choice_bias = true},
          .spellings = {published}};
}

}  // namespace foregate::models
