#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"

namespace foregate::trace {

/// Writes an npy file (version 1.0) of a shape known beforehand, its values in pieces.
class NpyWriter {
 public:
  /// `descr` is NumPy's name of the dtype: "<i4". Throws EnvironmentError.
  NpyWriter(const std::filesystem::path& path, const std::string& descr,
            const std::vector<int64_t>& shape);

  template <typename T>
  void append(const std::vector<T>& values) {
    append(std::as_bytes(std::span(values)));
  }
  void finish();

 private:
  void append(std::span<const std::byte> bytes);

  AtomicFile file_;
  std::string buffer_;  ///< so that a short text does not cost a system call
};

}  // namespace foregate::trace
