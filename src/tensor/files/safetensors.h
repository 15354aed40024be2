#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "tensor/files/tensor_file.h"

namespace foregate::tensor {

/// Offsets behind the header of a file.
struct ByteRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// A memory-mapped safetensors file. The whole header is validated on opening: size, JSON, dtypes,
/// shapes against bytes, overlaps, holes and truncation are DataErrors that name file, tensor and
/// numbers. Tensors are copied only if the file does not align them to their element size.
class SafetensorsFile : public TensorFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  const std::filesystem::path& path() const override { return file_->path(); }
  torch::Tensor tensor(std::string_view name) const override;
  torch::Tensor rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_pages(std::string_view name) const override;

 private:
  uint64_t row_bytes(size_t number) const;
  torch::Tensor view(torch::ScalarType dtype, const std::vector<int64_t>& shape,
                     ByteRange bytes) const;
  void release(ByteRange bytes) const;

  std::shared_ptr<MappedFile> file_;
  uint64_t data_start_ = 0;
  std::vector<ByteRange> bytes_;  ///< of each entry
  std::map<std::string, std::string> metadata_;
};

/// Writes a safetensors file whose shapes are known before its contents: pieces may come in any
/// order, rows never written are zeros. Atomic (see AtomicFile): nothing is visible before
/// commit(). Data is laid out by falling element size, so that every tensor is aligned.
class SafetensorsWriter {
 public:
  /// Throws EnvironmentError if the file cannot be made.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorEntry> entries,
                    const std::map<std::string, std::string>& metadata = {});
  /// Writes `rows` (contiguous CPU tensor of the entry's dtype, shaped [n, rest of the entry's
  /// shape]) at `first_row` of the entry's first dimension. Throws DataError for an unknown name or
  /// rows that do not fit the entry, EnvironmentError if writing fails.
  void write_rows(std::string_view name, int64_t first_row, const torch::Tensor& rows);
  void commit();
  uint64_t file_size() const { return data_start_ + data_size_; }

 private:
  std::unique_ptr<AtomicFile> file_;
  uint64_t data_start_ = 0;
  uint64_t data_size_ = 0;
  std::vector<TensorEntry> entries_;
  std::vector<ByteRange> bytes_;  ///< of each entry
};

/// Writes whole tensors at once, in the order given.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace foregate::tensor
