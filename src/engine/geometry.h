#pragma once

#include "models/config.h"
#include "trace/trace.h"

namespace foregate {

/// What a trace needs to know of a model.
Geometry geometry_of(const ModelConfig& config);

}  // namespace foregate
