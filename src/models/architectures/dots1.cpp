#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// dots.llm1: queries and keys normalised per head, and DeepSeek-V3's MoE layers.
Architecture dots1() {
  ConfigTable table{.window = ConfigTable::Window::kBehindLayers, .qk_norm = QkNorm::kHead};
  use_deepseek_v3_router(table);
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_deepseek_v3_layer_names(names);
  return {.model_type = "dots1", .config = table, .spellings = {names}};
}

}  // namespace foregate::models
