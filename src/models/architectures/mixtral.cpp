#include "models/architecture.h"

namespace foregate::models {

/// Mixtral: every layer sparse, no shared expert, gate weights divided by their sum. Its tensors
/// are called as published (block_sparse_moe, w1, w3, w2), or as transformers 5 names them in
/// memory.
Architecture mixtral() {
  WeightNames in_memory = llama_weight_names();
  add_mlp_expert_names(in_memory);
  return {.model_type = "mixtral",
          .config = {.window = ConfigTable::Window::kWhenGiven,  // unlike Qwen's
                     .num_experts = {"num_local_experts"},
                     .expert_size = "intermediate_size",
                     .router = {.norm_topk = true},  // by the architecture; there is no key
                     .norm_topk = nullptr},
          .spellings = {mixtral_weight_names(), in_memory}};
}

}  // namespace foregate::models
