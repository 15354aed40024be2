#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// DeepSeek-V3.2: V3 with an indexer that keeps the index_topk most relevant keys of every query.
/// Texts are no longer than that here: all keys are kept, and the indexer has no say.
Architecture deepseek_v32() {
  ConfigTable table = deepseek_v3_table();
  table.interleaved = nullptr;
  table.only.push_back({"rope_interleave", true});
  table.longest_text = "index_topk";
  WeightNames names = deepseek_v3_names();
  names.unread = {"model.layers.{L}.self_attn.indexer."};
  return {.model_type = "deepseek_v32", .config = table, .spellings = {names}};
}

}  // namespace foregate::models
