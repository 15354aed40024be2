#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// GLM-4.7-Flash: DeepSeek-V3's decoder. transformers 5 saves its dense layers as mlp_layer_types.
Architecture glm4_moe_lite() {
  return {.model_type = "glm4_moe_lite",
          .config = deepseek_v3_table(),
          .spellings = {deepseek_v3_names()}};
}

}  // namespace foregate::models
