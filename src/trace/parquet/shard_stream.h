#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "trace/parquet/arrow_fwd.h"

namespace foregate::trace {

/// An Arrow output stream into an AtomicFile, hashed on its way. Internal to trace/.
class ShardStream {
 public:
  /// Throws EnvironmentError.
  explicit ShardStream(const std::filesystem::path& path);

  std::shared_ptr<arrow::io::OutputStream> stream() const;
  /// Throws the error of the first failed write, if there was one: Arrow flattens errors to text.
  void rethrow_failure() const;
  /// Makes the file visible under its name. Throws EnvironmentError.
  void commit();
  int64_t size() const;
  /// Digest of everything written. To be called once.
  std::string sha256();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace foregate::trace
