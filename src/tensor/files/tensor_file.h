#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::tensor {

/// What a file says of one of its tensors.
struct TensorEntry {
  std::string name{};
  torch::ScalarType dtype = torch::kFloat32;
  std::vector<int64_t> shape{};
};

/// A file of named tensors, read where they lie. SafetensorsFile is one. What it lists is kept
/// here, where the values lie is each kind's own.
class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::filesystem::path& path() const = 0;
  /// In the order of the file.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  /// The tensor's entry, or nullptr if there is none of that name.
  const TensorEntry* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  /// The tensor, on the CPU and read-only by convention: where possible the file's own bytes, which
  /// it keeps open. Throws DataError if there is none of that name.
  virtual torch::Tensor tensor(std::string_view name) const = 0;
  /// The same of `count` rows of the tensor's first dimension.
  virtual torch::Tensor rows(std::string_view name, int64_t first, int64_t count) const = 0;
  /// Says that rows, or all of a tensor, are not needed for now: they leave this process's memory
  /// and are read again if touched.
  virtual void release_rows(std::string_view name, int64_t first, int64_t count) const = 0;
  virtual void release_pages(std::string_view name) const = 0;

 protected:
  TensorFile() = default;
  TensorFile(const TensorFile&) = default;
  TensorFile(TensorFile&&) = default;
  TensorFile& operator=(const TensorFile&) = default;
  TensorFile& operator=(TensorFile&&) = default;

  /// The last of the entries from now on; false if there is one of that name.
  bool add_entry(TensorEntry entry);
  /// Of the entry of that name; nothing if there is none.
  std::optional<size_t> find_number(std::string_view name) const;
  /// The same; throws DataError if there is none.
  size_t number_of(std::string_view name) const;

 private:
  std::vector<TensorEntry> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace foregate::tensor
