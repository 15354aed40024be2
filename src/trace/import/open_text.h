#pragma once

// Internal to trace/.

#include <cstdint>
#include <string>
#include <vector>

#include "trace/import/rows.h"
#include "trace/import/tokens.h"
#include "trace/trace.h"

namespace foregate::trace {

/// A text that is being put together from its rows, in whatever order they come.
class OpenText {
 public:
  /// `rows` rows will come, the furthest for token `last_token`. Memory follows from the rows, not
  /// from what they say: tokens that cannot be complete are not kept.
  OpenText(int64_t rows, int64_t last_token, size_t layers, size_t k, std::string where);

  /// `layer` is the index of the row's layer among the MoE layers. Throws DataError beginning with
  /// `where` if the cell is there already.
  void add(const RoutingRow& row, size_t layer, const std::string& where);

  bool has_all_rows() const { return rows_ == expected_rows_; }
  int64_t num_tokens() const { return last_token_ + 1; }  ///< as far as rows speak of them
  int64_t complete_tokens() const;                        ///< before the first that lacks a layer
  /// What is wrong with the text: a cell that is missing, layers that disagree on a token; empty
  /// if nothing is.
  std::string problem(const std::vector<int>& moe_layers) const;
  /// Where the text begins.
  const std::string& where() const { return where_; }

  /// The first `tokens` tokens, at most complete_tokens().
  void fill(int64_t tokens, TokenNumbering& numbering, Trace& trace) const;

 private:
  bool is_complete(size_t token) const { return layers_seen_[token] == layers_; }
  void take_token(const RoutingRow& row, const std::string& where);

  int64_t expected_rows_;
  int64_t last_token_;
  size_t layers_;
  size_t k_;
  std::string where_;
  size_t kept_;  ///< tokens
  int64_t rows_ = 0;
  std::vector<bool> seen_;           ///< [kept][layers]
  std::vector<size_t> layers_seen_;  ///< [kept]
  std::vector<uint16_t> experts_;    ///< [kept][layers][k]
  std::vector<uint16_t> weights_;    ///< alike, or empty
  TokenList tokens_;                 ///< [kept]
  std::string disagreement_;
};

}  // namespace foregate::trace
