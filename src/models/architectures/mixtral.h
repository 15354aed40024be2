#pragma once

#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// Mixtral: every layer sparse, no shared expert, gate weights divided by their sum.
ModelConfig parse_mixtral(const JsonReader& reader);
/// As published (block_sparse_moe, w1, w3, w2), and as transformers 5 names the same in memory.
std::vector<WeightNames> mixtral_weight_names();

}  // namespace foregate::models
