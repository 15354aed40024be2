#pragma once

#include "base/json.h"
#include "models/gguf/gguf_model.h"
#include "models/registry.h"

namespace foregate::models {

/// What a GGUF file's keys and tensors say of its model, as the config.json that it was made of:
/// for parse_config(). Throws DataError: an architecture that is not supported, a key that is
/// missing or has a value that is not implemented.
Json gguf_config(const GgufModel& model, const Registry& registry);

}  // namespace foregate::models
