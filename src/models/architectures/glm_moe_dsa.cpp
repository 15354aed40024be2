#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// GLM-5: DeepSeek-V3.2's decoder. Texts are at most index_topk long, for the same reason.
Architecture glm_moe_dsa() {
  ConfigTable table = deepseek_v3_table();
  table.interleaved = nullptr;
  table.only.push_back({"rope_interleave", true});
  table.longest_text = "index_topk";
  WeightNames names = deepseek_v3_names();
  names.unread = {"model.layers.{L}.self_attn.indexer."};
  return {.model_type = "glm_moe_dsa", .config = table, .spellings = {names}};
}

}  // namespace foregate::models
