#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// dots.llm1: queries and keys normalised per head, and DeepSeek-V3's MoE layers.
Architecture dots1() {
  ConfigTable table{.window = ConfigTable::Window::kBehindLayers, .qk_norm = QkNorm::kHead};
  use_deepseek_v3_router(table);
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  add_choice_bias_name(names);
  add_shared_experts_names(names);
  return {.model_type = "dots1", .config = table, .spellings = {names}};
}

}  // namespace foregate::models
