#pragma once

// Internal to trace/.

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/import/rows.h"

namespace foregate::trace {

/// Tells which text a row belongs to. A request that comes to token 0 of a layer again begins a
/// new text: a logger that knows no requests counts the tokens of each forward pass from 0.
class TextTracker {
 public:
  /// Number of the row's text, counted from 0 by first appearance.
  size_t text_of(const RoutingRow& row);
  size_t num_texts() const { return num_texts_; }

 private:
  struct Open {
    size_t text = 0;
    std::set<int64_t> begun;  ///< layers whose token 0 was seen
  };
  std::unordered_map<std::string, Open> open_;
  size_t num_texts_ = 0;
};

/// Finds out whether a log begins with warm-up: texts all of whose tokens are routed alike, because
/// the engine ran on dummy tokens.
class WarmupDetector {
 public:
  void add(size_t text, const RoutingRow& row);
  /// Rows of the leading texts that look like warm-up.
  int64_t rows() const { return rows_; }

 private:
  /// Moves on behind the leading text, or ends the search.
  void close_leading();

  bool searching_ = true;
  size_t leading_ = 0;
  int64_t rows_ = 0;
  bool uniform_ = true;
  int64_t leading_rows_ = 0;
  std::unordered_map<int64_t, std::vector<uint16_t>> first_;  ///< experts of token 0 at a layer
};

}  // namespace foregate::trace
