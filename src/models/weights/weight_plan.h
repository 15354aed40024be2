#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/weights/layer_spec.h"
#include "models/weights/weight_names.h"
#include "tensor/files/checkpoint.h"

namespace foregate::models {

/// A tensor that a checkpoint of some config has.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool required = true;
  bool quantizable = false;  ///< a matrix of the large products: see Quantization
};

/// The one of the config's spellings that the checkpoint's routers have; the first one if it has
/// none of them.
WeightNames choose_names(const ModelConfig& config, const tensor::Checkpoint& checkpoint);

/// How the checkpoint keeps this layer's experts: fused if the fused tensor is there.
ExpertLayout expert_layout(const WeightNames& names, int64_t layer,
                           const tensor::Checkpoint& checkpoint);

/// Every tensor that the config asks for, by name and shape. A layer whose fused expert tensors are
/// in the checkpoint is expected to be fused. lm_head may be absent if it is tied or if
/// `routing_only`.
std::vector<ExpectedTensor> plan_weights(const ModelConfig& config, const WeightNames& names,
                                         const tensor::Checkpoint& checkpoint, bool routing_only);

/// Compares a checkpoint's headers with the plan, whose quantizable tensors are kept as `storage`
/// says. Throws DataError that names what is missing, unexpected or of the wrong shape or dtype:
/// the first few of each, and how many more there are.
void verify_weights(const tensor::Checkpoint& checkpoint, const std::vector<ExpectedTensor>& plan,
                    const CheckpointFormat& storage);

}  // namespace foregate::models
