#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/files/tensor_file.h"

namespace foregate::tensor {

/// The files that hold a model's weights. Of a directory: model.safetensors, or the shards that
/// model.safetensors.index.json names, sorted, whether or not they are there; none if it has
/// neither of the two. Of a GGUF file: itself and those it is split into. Throws DataError if the
/// index is broken.
std::vector<std::string> weight_files(const std::filesystem::path& model);
/// The folder that they are in.
std::filesystem::path weights_folder(const std::filesystem::path& model);

/// Whether a directory holds model.safetensors and an index of other files as well. The former is
/// read.
bool holds_two_checkpoints(const std::filesystem::path& directory);

/// The youngest pytorch_model*.bin of a directory, if it is younger than the safetensors files that
/// are read; else empty. Whoever trained on may have saved there.
std::string newer_pickled_weights(const std::filesystem::path& directory);

/// The weights of a model, in one file or several: those of a directory in the Hugging Face layout,
/// or files that are opened already.
class Checkpoint {
 public:
  /// Opens every shard and checks it against the index. Throws EnvironmentError if there are no
  /// weights or a shard is missing, DataError if the index or a shard is broken, or if a tensor is
  /// not where the index says.
  explicit Checkpoint(const std::filesystem::path& directory);

  /// Where files call a tensor something else than it is called here: its name there, by its name
  /// here.
  using NamesInFile = std::map<std::string, std::string, std::less<>>;
  /// `path` names the model in errors. Throws DataError if two files have a tensor of the same
  /// name.
  Checkpoint(const std::filesystem::path& path, std::vector<std::unique_ptr<TensorFile>> files,
             NamesInFile names_in_file = {});

  /// The tensor's entry, or nullptr if there is none of that name.
  const TensorEntry* find(std::string_view name) const;
  // See TensorFile; tensor() and rows() throw DataError if there is none of that name.
  torch::Tensor tensor(std::string_view name) const;
  torch::Tensor rows(std::string_view name, int64_t first, int64_t count) const;
  void release_rows(std::string_view name, int64_t first, int64_t count) const;
  void release_pages(std::string_view name) const;
  /// All names, in alphabetical order.
  std::vector<std::string> names() const;
  /// The directory, or the file.
  const std::filesystem::path& directory() const { return directory_; }
  /// What the files call a tensor, for errors: mostly the same.
  const std::string& name_in_file(const std::string& name) const;

 private:
  void read_index(const std::filesystem::path& path);
  /// Opens a file of the folder; its place in shards_.
  size_t open_shard(const std::string& name);
  const TensorFile* find_shard(std::string_view name) const;
  const TensorFile& shard_of(std::string_view name) const;

  std::filesystem::path directory_;
  std::vector<std::unique_ptr<TensorFile>> shards_;
  std::map<std::string, size_t, std::less<>> shard_index_;  ///< tensor name -> shard
  NamesInFile names_in_file_;
};

}  // namespace foregate::tensor
