#pragma once

#include <torch/types.h>

#include <optional>

#include "tensor/weight/quantization.h"

namespace foregate::tensor {

/// What a model runs on, and in what.
struct Compute {
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat32;
  /// Of the large products' weights. Nothing: chosen by the memory there is where that is planned
  /// (collect), elsewhere none.
  std::optional<Quantization> quantization = std::nullopt;
  /// Of keys and values that are kept for later tokens: the compute dtype or kInt8.
  std::optional<torch::ScalarType> kv_dtype = std::nullopt;

  torch::ScalarType cache_dtype() const { return kv_dtype.value_or(dtype); }
};

}  // namespace foregate::tensor
