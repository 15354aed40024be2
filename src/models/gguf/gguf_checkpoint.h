#pragma once

#include "models/config.h"
#include "models/gguf/gguf_model.h"
#include "tensor/files/checkpoint.h"

namespace foregate::models {

/// The weights of a GGUF model as the checkpoint that it was made of: names, experts and the order
/// of rows are those of the architecture's published spelling. Throws DataError for a tensor that
/// the architecture does not have.
tensor::Checkpoint gguf_checkpoint(const GgufModel& model, const ModelConfig& config);

}  // namespace foregate::models
