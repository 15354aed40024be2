#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// DeepSeek-V2, V2-Lite and Coder-V2: latent attention, softmax routers that may choose among the
/// best groups first. Weights are not renormalised: transformers ignores norm_topk_prob, and the
/// model's own code would leave out the scaling then.
Architecture deepseek_v2() {
  return {.model_type = "deepseek_v2",
          .config = {.attention = ConfigTable::Attention::kLatent,
                     .rotary_pairs = nn::Rotary::Pairs::kInterleaved,
                     .layers = ConfigTable::Layers::kDenseFirst,
                     .only = {{"scoring_func", "softmax"},
                              {"norm_topk_prob", false},
                              {"rope_interleave", true},
                              {"moe_layer_freq", int64_t{1}}},  // transformers ignores it
                     .num_experts = {"n_routed_experts"},
                     .norm_topk = nullptr,
                     .scale = "routed_scaling_factor",
                     .groups = ConfigTable::Groups::kByMethod,
                     .shared_count = "n_shared_experts"},
          .spellings = {deepseek_v2_names()}};
}

}  // namespace foregate::models
