#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/files/gguf.h"
#include "tensor/files/tensor_file.h"

namespace foregate::models {

/// Where the values of a tensor lie in a GGUF file.
struct GgufPlace {
  std::string source;        ///< the tensor there
  int64_t first_vector = 0;  ///< see GgufFile::vectors
  /// Rows of heads of this size are stored 0, D/2, 1, D/2 + 1, ...; 0: in order.
  int64_t paired_head_dim = 0;
};

/// A GGUF file whose tensors go by other names, cut and ordered as checkpoints of the Hugging Face
/// layout have them. All have one dimension or two.
class GgufView : public tensor::TensorFile {
 public:
  explicit GgufView(std::shared_ptr<const tensor::GgufFile> file) : file_(std::move(file)) {}

  void add(tensor::TensorEntry entry, GgufPlace place);

  const std::filesystem::path& path() const override { return file_->path(); }
  torch::Tensor tensor(std::string_view name) const override;
  torch::Tensor rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_pages(std::string_view name) const override;

 private:
  std::shared_ptr<const tensor::GgufFile> file_;
  std::vector<GgufPlace> places_;  ///< of each entry
};

}  // namespace foregate::models
