#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/page/figure.h"
#include "report/report.h"

namespace foregate::report {

/// How much is drawn of what has a drawing for each layer, pair of layers or text: the page is to
/// stay small however large the model is.
struct Detail {
  double share = 1;  ///< of the usual number of drawings; one at least is drawn

  size_t of(size_t budget) const {
    return static_cast<size_t>(share * static_cast<double>(budget));
  }
};

// The page's sections, one file each. A section without data explains what is missing.
Section overview_section(const ReportInput& input);
Section usage_section(const ReportInput& input);
Section balance_section(const ReportInput& input);
Section gates_section(const ReportInput& input);
Section transitions_section(const ReportInput& input, const Detail& detail);
Section datasets_section(const ReportInput& input);
Section overlap_section(const ReportInput& input);
Section information_section(const ReportInput& input);
Section caching_section(const ReportInput& input, const Detail& detail);
Section coactivation_section(const ReportInput& input, const Detail& detail);
Section specialists_section(const ReportInput& input);
Section tokens_section(const ReportInput& input);
Section phases_section(const ReportInput& input);
Section expert_paths_section(const ReportInput& input, const Detail& detail);
Section evaluation_section(const ReportInput& input);
Section simulation_section(const ReportInput& input);  ///< Only with a simulation
Section comparison_section(const ReportInput& input);  ///< Only with an agreement

/// All of them, in the page's order.
std::vector<Section> all_sections(const ReportInput& input, const Detail& detail = {});

/// What stands out, computed from the data: a sentence each.
std::vector<std::string> findings(const ReportInput& input);

/// What a section says when there are no tokens to draw.
inline constexpr const char* kNoTokens = "The trace holds no tokens, so there is nothing to show.";

}  // namespace foregate::report
