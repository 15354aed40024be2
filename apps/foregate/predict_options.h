#pragma once

#include <optional>
#include <string>

#include "nn/routers.h"

namespace foregate {

/// The routers of a checkpoint (a directory, or OWNER/NAME of one that was pulled), or nothing for
/// an empty name (then those recorded with a trace are used).
std::optional<nn::Routers> routers_of_model(const std::string& model);

/// "random, frequency, ...": the predictors there are, for help texts.
std::string predictor_list();

}  // namespace foregate
