#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// DeepSeek-V3.2.
Architecture deepseek_v32() {
  return deepseek_sparse_attention("deepseek_v32");
}

}  // namespace foregate::models
