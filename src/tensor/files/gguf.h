#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/containers/gguf_header.h"
#include "base/files.h"
#include "tensor/files/gguf_blocks.h"
#include "tensor/files/tensor_file.h"

namespace foregate::tensor {

/// A memory-mapped GGUF file, or one of the files that a model is split into. The whole header is
/// validated on opening (see GgufHeader). Float tensors are the file's own bytes; of quantised ones
/// the rows that are asked for are decoded to float32.
class GgufFile : public TensorFile {
 public:
  /// Throws EnvironmentError (missing, unreadable), the errors of GgufHeader, and DataError for a
  /// tensor of a type that is not decoded.
  explicit GgufFile(const std::filesystem::path& path);

  const GgufHeader& header() const { return header_; }

  const std::filesystem::path& path() const override { return file_->path(); }
  torch::Tensor tensor(std::string_view name) const override;
  torch::Tensor rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_pages(std::string_view name) const override;

  /// Vectors of the last dimension, counted through all others: [count, last dimension].
  torch::Tensor vectors(std::string_view name, int64_t first, int64_t count) const;
  void release_vectors(std::string_view name, int64_t first, int64_t count) const;

 private:
  uint64_t vector_bytes(size_t number) const;
  const std::byte* vector_data(size_t number, int64_t first) const;
  torch::Tensor read(size_t number, int64_t first, int64_t count,
                     const std::vector<int64_t>& shape) const;

  std::shared_ptr<MappedFile> file_;
  GgufHeader header_;
  std::vector<GgufDecoder> decoders_;  ///< of each entry; null: floats as they are
};

}  // namespace foregate::tensor
