#pragma once

#include <string>

#include "base/json.h"
#include "stats/evaluation/evaluation.h"

namespace foregate::stats {

/// Everything but the examples. Metrics are named as metric_name() does; recall@k of the slices is
/// there once more by dataset, layer and phase, for those who want nothing else.
Json evaluation_json(const Evaluation& evaluation);

/// Reads what this version or an earlier one wrote. Those before slices kept of each part its
/// recall@k alone: such slices count no decisions, and their intervals have no width.
/// Throws DataError that names `where`, the key, what was expected and what was found.
Evaluation evaluation_from_json(const Json& json, const std::string& where);

}  // namespace foregate::stats
