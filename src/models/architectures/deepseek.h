#pragma once

#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// DeepSeek-MoE-16B: the first layers dense, shared experts (one wide MLP) that are always added.
/// Not DeepSeek-V2 or V3, whose attention and routers differ.
ModelConfig parse_deepseek(const JsonReader& reader);
std::vector<WeightNames> deepseek_weight_names();

}  // namespace foregate::models
