#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/datasets/row_reader.h"

namespace foregate::text {

/// One value of a column, or why it is none.
struct Value {
  std::string_view text;
  std::string problem;  ///< empty if there is none
};

/// Makes rows of the values that the chosen columns have in one record. A single column gives a row
/// for each of its values: one, or as many as the lists hold that it lies in. Several columns give
/// one row, their values joined by spaces.
class ValueRows {
 public:
  explicit ValueRows(size_t num_columns) : columns_(num_columns) {}

  /// To be filled with the record's values of one column.
  std::vector<Value>& column(size_t i) { return columns_[i]; }
  /// Starts with the record that the columns have been filled with.
  void start();
  /// The record's next row; false behind the last.
  bool next(Row& row);

 private:
  void join(Row& row) const;

  std::vector<std::vector<Value>> columns_;
  size_t next_ = 0, num_rows_ = 0;
};

}  // namespace foregate::text
