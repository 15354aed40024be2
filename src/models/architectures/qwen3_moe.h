#pragma once

#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// Qwen3-MoE: query and key normalised per head, no shared expert, MoE layers by
/// decoder_sparse_step and mlp_only_layers.
ModelConfig parse_qwen3_moe(const JsonReader& reader);
std::vector<WeightNames> qwen3_moe_weight_names();

}  // namespace foregate::models
