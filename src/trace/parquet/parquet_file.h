#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "trace/parquet/arrow_fwd.h"

namespace foregate::trace {

/// A Parquet file read a few rows at a time; page checksums are verified. Internal to trace/. Arrow
/// answers some broken files with a Status, others with an exception; here all become DataError
/// ("<file>: <what>: <cause>; ..."), or EnvironmentError if memory ran out.
class ParquetFile {
 public:
  /// Throws EnvironmentError also for a file that is missing or unreadable.
  explicit ParquetFile(const std::filesystem::path& path);
  ~ParquetFile();

  int64_t num_rows() const;
  /// nullptr if there is none.
  const arrow::KeyValueMetadata* metadata() const;

  /// Starts reading the top-level columns of these names, as far as they exist. Returns the schema
  /// of what will be read.
  std::shared_ptr<arrow::Schema> start(const std::vector<std::string>& columns);
  /// The next rows; nullptr at the end.
  std::shared_ptr<arrow::RecordBatch> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::trace
