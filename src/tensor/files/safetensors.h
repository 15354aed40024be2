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

namespace foregate::tensor {

/// One entry of a safetensors header.
struct SafetensorsEntry {
  std::string name;
  torch::ScalarType dtype = torch::kFloat32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  ///< byte offsets behind the header
  uint64_t end = 0;
};

/// A memory-mapped safetensors file. The whole header is validated on opening: size, JSON, dtypes,
/// shapes against bytes, overlaps, holes and truncation are DataErrors that name file, tensor and
/// numbers.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(std::string_view name) const;
  /// The tensor's entry, or nullptr if there is none of that name.
  const SafetensorsEntry* find(std::string_view name) const;
  /// A CPU tensor over the mapped bytes (read-only by convention); copied only if the file does not
  /// align it to its element size. It keeps the mapping alive. Throws DataError if there is no such
  /// tensor.
  torch::Tensor tensor(std::string_view name) const;
  /// Tells the system that the tensor's pages are not needed for now: they leave this process's
  /// memory and are read again if touched.
  void release_pages(std::string_view name) const;
  /// The same of `rows` of the tensor's first dimension.
  void release_rows(std::string_view name, int64_t first_row, int64_t rows) const;
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  void release(uint64_t begin, uint64_t end) const;

  std::shared_ptr<MappedFile> file_;
  uint64_t data_start_ = 0;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// Writes a safetensors file whose shapes are known before its contents: pieces may come in any
/// order, rows never written are zeros. Atomic (see AtomicFile): nothing is visible before
/// commit(). Data is laid out by falling element size, so that every tensor is aligned.
class SafetensorsWriter {
 public:
  /// Offsets in `entries` are ignored. Throws EnvironmentError if the file cannot be made.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<SafetensorsEntry> entries,
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
  std::vector<SafetensorsEntry> entries_;
};

/// Writes whole tensors at once, in the order given.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace foregate::tensor
