#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "models/formats/matrix_format.h"
#include "models/weights/checkpoint_format.h"
#include "tensor/files/checkpoint.h"
#include "tensor/weight/weight.h"

namespace foregate::models {

/// The tensors that make up matrix `name` in this checkpoint, e.g. codes and scales. A matrix that
/// is there under its own name as floats is taken as it is, unless config.json lists those that are
/// and it is not among them. Throws DataError where matrix and format cannot go together.
std::vector<StoredTensor> stored_parts(const tensor::Checkpoint& checkpoint,
                                       const CheckpointFormat& storage, const std::string& name,
                                       const std::vector<int64_t>& shape);

/// Whether the checkpoint holds codes of this matrix where floats might be.
bool has_codes(const tensor::Checkpoint& checkpoint, const std::string& name);

/// How a tensor is kept: as `storage` says of `quantizable` ones, others plain. But some writers
/// pack every linear layer, routers and the gates of shared experts as well (bitsandbytes,
/// GPTQModel).
const CheckpointFormat& storage_of(const tensor::Checkpoint& checkpoint,
                                   const CheckpointFormat& storage, const std::string& name,
                                   const std::vector<int64_t>& shape, bool quantizable);

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
                 const RowConsumer& consume);

}  // namespace foregate::models
