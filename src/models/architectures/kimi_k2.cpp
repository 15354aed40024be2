#include "models/architectures/deepseek_family.h"

namespace foregate::models {

/// Kimi-K2: DeepSeek-V3 with more experts and fewer heads.
Architecture kimi_k2() {
  return {
      .model_type = "kimi_k2", .config = deepseek_v3_table(), .spellings = {deepseek_v3_names()}};
}

/// Kimi-K2.5 and K2.6: Kimi-K2 beside a vision tower, which is passed over. transformers 5 calls
/// the decoder deepseek_v3 when it saves.
Architecture kimi_k25() {
  ConfigTable table = deepseek_v3_table();
  table.decoder = "text_config";
  table.decoder_types = {"kimi_k2", "deepseek_v3"};
  return {.model_type = "kimi_k25",
          .config = table,
          .spellings = {deepseek_v3_names("language_model.")}};
}

}  // namespace foregate::models
