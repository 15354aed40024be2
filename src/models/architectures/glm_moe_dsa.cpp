#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// GLM-5: DeepSeek-V3.2's decoder.
Architecture glm_moe_dsa() {
  return deepseek_sparse_attention("glm_moe_dsa");
}

}  // namespace foregate::models
