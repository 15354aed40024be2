#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "report/simulation.h"
#include "stats/evaluation/evaluation.h"
#include "stats/routing_statistics.h"
#include "stats/trace_agreement.h"
#include "trace/manifest.h"

namespace foregate::report {

struct ReportInput {
  std::string title;
  trace::Manifest manifest;
  stats::RoutingStatistics statistics;
  std::vector<stats::Evaluation> evaluations;  ///< Empty: the section says how to get one.
  /// Text of a token id; empty: ids are shown.
  std::function<std::string(int32_t id)> token_text;
  std::optional<stats::TraceAgreement>
      agreement;  ///< With the trace of the same texts at `compared_with`
  std::string compared_with;
  std::optional<Simulation> simulation;  ///< What expert caches would gain
};

/// One self-contained HTML page: no network, charts as inline SVG, light and dark. Any input gives
/// a page, an empty trace as well. All names in it are escaped.
std::string render_report(const ReportInput& input);

/// The data of each chart as <name>.csv and <name>.json. What an earlier report wrote into the
/// folder and this one has not is removed. Throws EnvironmentError.
void write_tables(const ReportInput& input, const std::filesystem::path& directory);

/// Each chart as an SVG file of its own, <name>.svg or <name>-NN.svg where one of several is shown
/// at a time. What an earlier report left is removed likewise. Throws EnvironmentError.
void write_svgs(const ReportInput& input, const std::filesystem::path& directory);

}  // namespace foregate::report
