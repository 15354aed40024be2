#include "models/architecture.h"

namespace foregate::models {

/// OLMoE: every layer sparse, no shared expert, query and key normalised over all heads together.
Architecture olmoe() {
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_mlp_expert_names(names);
  return {.model_type = "olmoe",
          .config = {.qk_norm = QkNorm::kProjection,
                     .only = {{"clip_qkv", nullptr}},
                     .expert_size = "intermediate_size"},
          .spellings = {names}};
}

}  // namespace foregate::models
