#pragma once

// Internal to trace/.

#include <cstdint>
#include <map>
#include <set>
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
  int64_t rank() const { return rank_; }
  int64_t layer() const { return layer_; }

 private:
  std::string text_;
  int64_t rank_ = 0;
  int64_t layer_ = 0;
  std::vector<std::vector<uint16_t>> experts_;  ///< [tokens][k]
  size_t token_ = 0;
};

/// The layers that each rank of a trace has.
class MegatronRanks {
 public:
  /// `where`: file and line.
  void add(const MegatronPass& pass, const std::string& where);
  /// Throws DataError if two ranks share the layers of a pass (pipeline parallelism): nothing in
  /// the trace says which of their passes are of the same tokens.
  void require_whole_passes() const;

 private:
  struct Rank {
    std::set<int64_t> layers;
    std::string where;  ///< of its first line
  };
  std::map<int64_t, Rank> ranks_;
};

}  // namespace foregate::trace
