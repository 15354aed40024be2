#pragma once

#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// Qwen1.5-MoE and Qwen2-MoE: softmax router, a shared expert behind a sigmoid gate, MoE layers by
/// decoder_sparse_step and mlp_only_layers.
ModelConfig parse_qwen2_moe(const JsonReader& reader);
std::vector<WeightNames> qwen2_moe_weight_names();

}  // namespace foregate::models
