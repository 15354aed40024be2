#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace foregate::text {

/// The `post_processor` of a tokenizer.json, for single texts: null, ByteLevel (which changes
/// offsets only), TemplateProcessing, or a Sequence of these. Comes down to ids before and behind
/// the text's.
struct PostProcessor {
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;

  /// Throws DataError for what is not implemented. `where` names the file in errors.
  static PostProcessor from_json(const Json& json, const std::string& where);
};

}  // namespace foregate::text
