#pragma once

// Internal to trace/.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "trace/import/rows.h"

namespace foregate::trace {

/// A line of Megatron-LM's router trace (--moe-routing-trace-path): what a layer decided for all
/// tokens of a forward pass on one rank. A pass is a text: nothing says where one request ends.
///   {"step": 0, "block": "decoder", "layer": 3, "rank": 0, "num_tokens": 128, "topk": 2,
///    "top_indices": [[12, 45], ...]}
class MegatronPass {
 public:
  static constexpr const char* kExperts = "top_indices";

  /// Begins with a line's rows. False if they are of another block than the decoder (multi-token
  /// prediction), whose layers are numbered on their own. Throws DataError.
  bool read(const JsonReader& line);
  /// The next row; false if there is none left.
  bool next(RoutingRow& row);

 private:
  std::string text_;
  int64_t layer_ = 0;
  std::vector<std::vector<uint16_t>> experts_;  ///< [tokens][k]
  size_t token_ = 0;
};

}  // namespace foregate::trace
