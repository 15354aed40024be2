#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// DeepSeek-V3, V3.1 and R1. Layers behind the last one (multi-token prediction) are passed over.
Architecture deepseek_v3() {
  return {.model_type = "deepseek_v3",
          .config = deepseek_v3_table(),
          .spellings = {deepseek_v3_names()}};
}

}  // namespace foregate::models
