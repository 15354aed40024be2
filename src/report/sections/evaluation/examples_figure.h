#pragma once

#include "report/page/figure.h"
#include "report/sections/sections.h"

namespace foregate::report {

/// Texts' tokens through the layers as in expert_paths, with marks where the best predictor of each
/// lead missed experts. Needs examples. Data: every example, every predictor.
Figure examples_figure(const ReportInput& input, const stats::Evaluation& evaluation,
                       const Detail& detail, const std::string& suffix);

}  // namespace foregate::report
