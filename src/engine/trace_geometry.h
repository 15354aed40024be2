#pragma once

#include "models/config.h"
#include "trace/geometry.h"

namespace foregate::engine {

/// What a trace needs to know of a model with this config.
trace::Geometry geometry_of(const models::ModelConfig& config);

}  // namespace foregate::engine
