#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrow {
class Array;
class RecordBatch;
class Schema;
}  // namespace arrow

namespace foregate {

/// Dotted paths of the schema's columns that hold strings, also inside structs (not inside lists).
std::vector<std::string> string_paths(const arrow::Schema& schema);

/// One string column of a record batch, by dotted path.
class ArrowStrings {
 public:
  /// The batch must hold the path and outlive the object.
  ArrowStrings(const arrow::RecordBatch& batch, const std::string& path);

  /// Nothing where the string, or a struct that it lies in, is null.
  std::optional<std::string_view> at(int64_t row) const;

 private:
  std::vector<std::shared_ptr<arrow::Array>> parents_;
  std::shared_ptr<arrow::Array> strings_;
};

}  // namespace foregate
