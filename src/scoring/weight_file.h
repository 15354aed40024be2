#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/safetensors_header.h"

namespace foregate::scoring {

/// The tensors of a mapped safetensors file as plain arrays.
class WeightFile {
 public:
  /// Throws EnvironmentError if the file is missing, DataError if it is broken or its SHA-256 is
  /// another one than `sha256`.
  WeightFile(const std::filesystem::path& path, const std::string& sha256);

  /// A row-major tensor, valid as long as the file. Dimensions of -1 fit any size. Throws DataError
  /// if it is missing, of another dtype or of another shape.
  const float* floats(const char* name, const std::vector<int64_t>& shape);            // F32
  const int64_t* long_integers(const char* name, const std::vector<int64_t>& shape);   // I64
  const int32_t* integers(const char* name, const std::vector<int64_t>& shape);        // I32
  const int16_t* short_integers(const char* name, const std::vector<int64_t>& shape);  // I16

  /// Size of one dimension of a tensor that has `dimensions` of them. Throws DataError if there is
  /// no such tensor.
  int64_t size(const char* name, size_t dimensions, size_t dimension) const;

  std::string where() const { return file_.path().string(); }
  uint64_t bytes() const { return file_.bytes().size(); }

 private:
  const TensorRecord& find(const char* name) const;
  const void* data(const char* name, const char* dtype, const std::vector<int64_t>& shape);

  MappedFile file_;
  SafetensorsHeader header_;
  std::map<std::string, const TensorRecord*, std::less<>> records_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;  // of what the file does not align
};

}  // namespace foregate::scoring
