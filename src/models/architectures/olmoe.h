#pragma once

#include <vector>

#include "base/json.h"
#include "models/config.h"
#include "models/weights/weight_names.h"

namespace foregate::models {

/// OLMoE: every layer sparse, no shared expert, query and key normalised over all heads together.
ModelConfig parse_olmoe(const JsonReader& reader);
std::vector<WeightNames> olmoe_weight_names();

}  // namespace foregate::models
