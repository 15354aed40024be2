#pragma once

#include "models/config.h"
#include "trace/trace.h"

namespace foregate::engine {

/// What a trace needs to know of a model.
trace::Geometry geometry_of(const models::ModelConfig& config);

}  // namespace foregate::engine
