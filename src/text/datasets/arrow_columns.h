#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/datasets/columns.h"
#include "text/datasets/value_rows.h"

namespace arrow {
class Array;
class RecordBatch;
class Schema;
}  // namespace arrow

namespace foregate::text {

/// The schema's columns that hold strings, also inside structs and lists, named by dotted path.
std::vector<Column> string_columns(const arrow::Schema& schema);

/// The schema's columns and their types, as a message shows them: "id (int64), tags (map<...>)".
std::string show_schema(const arrow::Schema& schema);

/// One string column of a record batch, by dotted path.
class ArrowStrings {
 public:
  /// The batch must hold the path and outlive the object. Of several columns of that path it is the
  /// `nth`, counted from 0. Throws DataError if two fields inside a column have one name.
  ArrowStrings(const arrow::RecordBatch& batch, const std::string& path, size_t nth);

  /// The strings of one row: one, or as many as the lists hold that the path goes through; "null
  /// text" where the string, or a struct or list that it lies in, is null.
  void read(int64_t row, std::vector<Value>& values) const;

 private:
  void read(size_t level, int64_t index, std::vector<Value>& values) const;

  /// From the outside in: structs and lists, and the strings at last.
  std::vector<std::shared_ptr<arrow::Array>> levels_;
};

}  // namespace foregate::text
