#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/files/gguf.h"

namespace foregate::models {

/// A model in GGUF: one file, or all that it is split into.
class GgufModel {
 public:
  /// `path`: the file, or any one of several. Throws the errors of GgufFile, EnvironmentError if
  /// one is missing and DataError if they do not belong together.
  explicit GgufModel(const std::filesystem::path& path);

  /// Of the first file, which tells of the model.
  const GgufHeader& header() const { return files_.front()->header(); }
  const std::filesystem::path& path() const { return files_.front()->path(); }
  const std::vector<std::shared_ptr<const tensor::GgufFile>>& files() const { return files_; }
  /// Nullptr if there is no tensor of that name.
  const tensor::TensorEntry* find(std::string_view name) const;

  /// The types of its tensors, for people: "gguf: 142 F32, 96 Q4_K, 17 Q6_K".
  std::string description() const;

 private:
  std::vector<std::shared_ptr<const tensor::GgufFile>> files_;
};

}  // namespace foregate::models
