#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/row_limits.h"

namespace foregate::text {

/// One row of one file: its text, or what is wrong with it.
struct Row {
  std::string text;       ///< as in the file: perhaps blank, perhaps not UTF-8
  std::string problem;    ///< why the row cannot be used; empty if it can
  bool repaired = false;  ///< U+FFFD stands in the text for what is no Unicode in the file
};

/// Adds one more column's value to a text of several, with a space between what is not empty.
inline void append_column(std::string& text, std::string_view value) {
  if (!text.empty() && !value.empty()) text += ' ';
  text += value;
}

/// Reads the rows of one file in order. Broken rows come back with a problem, so that what is
/// behind them is still read.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// False at the end.
  virtual bool next(Row& row) = 0;
  /// What is read of the file: "column 'text'".
  virtual std::string description() const = 0;
  /// Whether the format repeats texts that count once (SQuAD: a context for each question).
  virtual bool unique_texts() const { return false; }
};

}  // namespace foregate::text
