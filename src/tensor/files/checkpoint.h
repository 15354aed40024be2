#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/files/safetensors.h"

namespace foregate::tensor {

/// The weights of a model directory in the Hugging Face layout: one model.safetensors, or the
/// shards that model.safetensors.index.json names.
class Checkpoint {
 public:
  /// Opens every shard and checks it against the index. Throws EnvironmentError if there are no
  /// weights or a shard is missing, DataError if the index or a shard is broken, or if a tensor is
  /// not where the index says.
  explicit Checkpoint(const std::filesystem::path& directory);

  /// The tensor's entry, or nullptr if there is none of that name.
  const SafetensorsEntry* find(std::string_view name) const;
  /// The tensor over mapped bytes, see SafetensorsFile::tensor(). Throws DataError if there is
  /// none.
  torch::Tensor tensor(std::string_view name) const;
  /// See SafetensorsFile::release_pages().
  void release_pages(std::string_view name) const;
  /// See SafetensorsFile::release_rows().
  void release_rows(std::string_view name, int64_t first_row, int64_t rows) const;
  /// All names, in alphabetical order.
  std::vector<std::string> names() const;
  const std::filesystem::path& directory() const { return directory_; }

 private:
  void read_index(const std::filesystem::path& path);
  const SafetensorsFile* shard_of(std::string_view name) const;

  std::filesystem::path directory_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string, size_t, std::less<>> shard_index_;  ///< tensor name -> shard
};

}  // namespace foregate::tensor
