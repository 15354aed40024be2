#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

#include "models/weights/checkpoint_format.h"
#include "tensor/files/checkpoint.h"
#include "tensor/weight/weight.h"

namespace foregate::models {

/// A tensor that a checkpoint has.
struct StoredTensor {
  std::string name;
  std::vector<int64_t> shape;
  /// Of quantised parts; undefined (kUndefined): float32, bfloat16 or float16.
  torch::ScalarType dtype = torch::ScalarType::Undefined;
  bool required = true;
};

/// The tensors that make up matrix `name` in this checkpoint, e.g. codes and scales. A matrix that
/// is there under its own name as floats is taken as it is, whatever `storage` says of the others.
std::vector<StoredTensor> stored_parts(const tensor::Checkpoint& checkpoint,
                                       const CheckpointFormat& storage, const std::string& name,
                                       const std::vector<int64_t>& shape);

/// The tensor of a GPTQ checkpoint that holds the zeros of matrix `name`.
std::string gptq_zeros_name(const std::string& name);

/// What a GPTQ checkpoint may have beside a matrix without bias: one of zeros.
std::string gptq_bias_name(const std::string& name);

/// The matrix's name with this ending for its scales, in checkpoints of save_quantized().
std::string scales_name(const std::string& name, tensor::Quantization quantization);

/// Reads the matrix, or the tensor of floats, piece by piece: `consume` gets runs of its first
/// dimension, in order. What has been consumed leaves this process's memory. Pieces are valid
/// during the call. `shape` is the one that stored_parts() was asked for.
void read_stored(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                 const std::string& name, const std::vector<int64_t>& shape,
                 const std::function<void(int64_t first, const tensor::Weight& rows)>& consume);

}  // namespace foregate::models
