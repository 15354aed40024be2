#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace foregate::predict {

/// What a predictor was made with: names and values in the order of predictor.json. Whoever needs a
/// particular one asks the predictor for it, not this list.
using Setting = std::variant<int64_t, double, std::string>;
using Settings = std::vector<std::pair<std::string, Setting>>;

/// The form that a predictor's factory reads.
Json settings_to_json(const Settings& settings);
/// Throws DataError if a value is neither a number nor a name.
Settings settings_from_json(const JsonReader& reader);

}  // namespace foregate::predict
