#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/config.h"
#include "models/gguf/gguf_model.h"
#include "tensor/files/tensor_file.h"

namespace foregate::models {

/// Of latent attention, the matrices that latents are expanded by (see LatentConfig). Converters
/// cut each into two, attn_k_b [heads, kv rank, nope], which is transposed, and attn_v_b [heads,
/// value, kv rank]; here they are whole again: [heads * (nope + value), kv rank].
class GgufLatentExpansions : public tensor::TensorFile {
 public:
  /// Of the layers that have no whole one. Throws DataError if a layer has one half alone, or
  /// halves of other shapes than `attention` has.
  GgufLatentExpansions(const GgufModel& model, const ModelConfig& config,
                       const LatentConfig& attention);

  const std::filesystem::path& path() const override { return path_; }
  torch::Tensor tensor(std::string_view name) const override;
  torch::Tensor rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_rows(std::string_view name, int64_t first, int64_t count) const override;
  void release_pages(std::string_view name) const override;

 private:
  /// A tensor and the file that it is in: a split model may be cut between the two.
  struct Half {
    std::shared_ptr<const tensor::GgufFile> file;
    std::string name;
  };
  struct Halves {
    Half key;
    Half value;
  };

  Half find_half(const GgufModel& model, int64_t layer, const char* name,
                 const std::vector<int64_t>& shape) const;

  std::filesystem::path path_;
  int64_t rows_per_head_;
  std::vector<Halves> halves_;  ///< of each entry
};

}  // namespace foregate::models
