#pragma once

#include "report/figure.h"
#include "report/sections.h"

namespace foregate {

/// Texts' tokens through the layers as in the journeys, with marks where the best predictor of each
/// lead missed experts. Needs examples. Data: every example, every predictor.
Figure foreseen_figure(const ReportInput& input, const Evaluation& evaluation, const Detail& detail,
                       const std::string& suffix);

}  // namespace foregate
