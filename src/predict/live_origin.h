#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace foregate::predict {

/// How texts were routed and passed by in a training without a trace: "live" of predictor.json.
struct LiveOrigin {
  struct Dataset {
    std::string name;
    int64_t texts = 0;
    std::string sha256{};  ///< of its usable texts; empty if not known
  };
  std::vector<Dataset> data;
  int64_t max_length = 0;  ///< tokens that texts were cut to
  std::string model_dtype;
  std::string quantization;
  std::string tokenizer_sha256;
  int64_t buffer_tokens = 0;    ///< whose hidden states were in memory at a time
  int64_t training_tokens = 0;  ///< of the training split
  int64_t passes = 0;           ///< over it

  Json to_json() const;
  /// Throws DataError naming document and key.
  static LiveOrigin from_json(const JsonReader& reader);
};

}  // namespace foregate::predict
