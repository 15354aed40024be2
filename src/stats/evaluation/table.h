#pragma once

#include <string>

#include "stats/evaluation/evaluation.h"

namespace foregate::stats {

/// Plain-text tables for a terminal: percent, with intervals, grouped by lead.
std::string evaluation_table(const Evaluation& evaluation);

}  // namespace foregate::stats
