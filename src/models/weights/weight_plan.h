#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/run_context.h"
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
  Arrangement arrangement{};
};

/// The one of the config's spellings that the checkpoint's routers have; the first one if it has
/// none of them.
WeightNames choose_names(const ModelConfig& config, const tensor::Checkpoint& checkpoint);

/// How the checkpoint keeps this layer's experts: fused if the fused tensor is there, or if single
/// experts have no names. A checkpoint of save_quantized() keeps them as the memory does.
ExpertLayout expert_layout(const CheckpointFormat& storage, const WeightNames& names, int64_t layer,
                           const tensor::Checkpoint& checkpoint);

/// Every tensor that the config asks for, by name and shape. A layer whose fused expert tensors are
/// in the checkpoint is expected to be fused. lm_head may be absent if it is tied or if
/// `routing_only`.
std::vector<ExpectedTensor> plan_weights(const ModelConfig& config, const WeightNames& names,
                                         const tensor::Checkpoint& checkpoint, bool routing_only);

/// Compares a checkpoint's headers with the plan, whose quantizable tensors are kept as the
/// config's storage says. Throws DataError that names what is missing, unexpected or of the wrong
/// shape or dtype: the first few of each, and how many more there are. Returns the tensors that are
/// not planned and concern no routing (other heads, layers behind the described ones, other
/// towers).
std::vector<std::string> verify_weights(const tensor::Checkpoint& checkpoint,
                                        const std::vector<ExpectedTensor>& plan,
                                        const ModelConfig& config, const WeightNames& names);

/// Whether a tensor is there, of its shape and of floats.
bool is_usable(const tensor::Checkpoint& checkpoint, const ExpectedTensor& tensor);

/// "3 tensors that routing does not need are passed over: a, b, c", with the first few names.
std::string passed_over(const std::vector<std::string>& tensors);

/// How the matrices are kept according to the tensors, where they tell more than config.json: zeros
/// of symmetric GPTQ that are stored as they are under a label that says minus one, or the other
/// way round, are taken for what they are, and `log` is told.
CheckpointFormat settled_storage(const tensor::Checkpoint& checkpoint,
                                 const std::vector<ExpectedTensor>& plan,
                                 const CheckpointFormat& storage, Logger& log);

}  // namespace foregate::models
