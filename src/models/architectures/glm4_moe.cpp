#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// GLM-4.5, Air, 4.6, 4.7: grouped queries of which a part turns, and DeepSeek-V3's MoE layers.
Architecture glm4_moe() {
  ConfigTable table{.qkv_bias = "attention_bias",  // none on the output
                    .qk_norm = QkNorm::kHead,
                    .qk_norm_switch = "use_qk_norm",
                    .partial_rotary = true};
  use_deepseek_v3_router(table);
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_deepseek_v3_layer_names(names);
  return {.model_type = "glm4_moe", .config = table, .spellings = {names}};
}

}  // namespace foregate::models
