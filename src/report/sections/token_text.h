#pragma once

#include <cstdint>
#include <string>

#include "report/report.h"

namespace foregate::report {

/// A token as it is shown: its text with spaces and line ends made visible, if the input knows it,
/// else "#id".
std::string token_label(const ReportInput& input, int32_t id);

}  // namespace foregate::report
