#pragma once

// Internal to trace/: one request's routing as a JSON value.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "trace/import/routing_block.h"

namespace foregate::trace {

/// What is known of arrays that come without a shape (SGLang's).
struct ArrayForm {
  int64_t layers = 0;  ///< 0: not known yet
  int64_t top_k = 0;
};

/// Where a value stands, for messages and for what it does not say itself.
struct RoutingPlace {
  std::string where;          ///< file and line
  std::string dtype;          ///< of an array without a header; empty: int32
  std::vector<int64_t> rows;  ///< how many such an array may have, the likeliest first
};

/// Lists [token][layer][k]; base64 of a NumPy file; base64 of plain integers; or an object with
/// `data`, `shape` and `dtype`. Throws DataError.
RoutingBlock read_routing(const Json& value, const RoutingPlace& place, const ArrayForm& form);

/// Gate weights as lists, into a block of the same shape.
void read_weights(const Json& value, const std::string& where, RoutingBlock& block);

/// The integers of a base64 array without shape; empty if the value is anything else.
std::vector<int64_t> bare_ids(const Json& value, const RoutingPlace& place);

/// Finds the number of experts a decision in arrays that do not say it: the largest one for which
/// no decision has an expert twice.
class TopKGuess {
 public:
  /// The integers of a text with so many rows.
  void add(const std::vector<int64_t>& ids, int64_t rows);
  bool any() const { return width_ > 0; }
  bool sure() const;
  int64_t top_k() const;
  int64_t width() const { return width_; }

 private:
  struct Candidate {
    int64_t k = 0;
    int64_t decisions = 0;  ///< looked at, those that hold nothing left out
  };
  std::vector<Candidate> candidates_;  ///< still possible, ascending
  int64_t width_ = 0;
  int64_t largest_ = 0;  ///< expert id
};

/// The first of `rows` that the values can be cut into; 0 if none.
int64_t fitting_rows(size_t values, const std::vector<int64_t>& rows, const ArrayForm& form);

}  // namespace foregate::trace
