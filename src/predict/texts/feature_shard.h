#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>

#include "tensor/files/safetensors.h"
#include "trace/trace.h"

namespace foregate::predict {

/// The recorded hidden states of one shard (trace/features.h), memory-mapped.
class FeatureShard {
 public:
  struct Range {
    int64_t begin = 0;  ///< first token in the tensors
    int64_t end = 0;
  };

  /// Checks every tensor's presence, dtype and shape against the geometry and the shard's rows.
  /// Throws DataError naming file and tensor.
  FeatureShard(const std::filesystem::path& file, const trace::Geometry& geometry,
               int64_t shard_rows);

  /// Where a row's tokens are; nothing if its features were not recorded.
  std::optional<Range> find(int64_t row) const;
  const torch::Tensor& router_inputs() const { return router_inputs_; }  ///< [tokens, L, H]
  const torch::Tensor& residual() const { return residual_; }            ///< [tokens, L, H]
  int64_t num_texts() const { return static_cast<int64_t>(ranges_.size()); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  torch::Tensor states(const char* name, const trace::Geometry& geometry) const;
  void read_ranges(int64_t shard_rows);

  tensor::SafetensorsFile file_;
  torch::Tensor router_inputs_;
  torch::Tensor residual_;
  std::map<int64_t, Range> ranges_;  ///< row in the shard -> tokens
};

}  // namespace foregate::predict
