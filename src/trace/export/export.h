#pragma once

#include <cstdint>
#include <filesystem>

#include "base/run_context.h"

namespace foregate::trace {

enum class ExportFormat {
  kNpy,   ///< arrays over the tokens of all texts
  kJsonl  ///< a text a line
};

struct ExportOptions {
  ExportFormat format = ExportFormat::kNpy;
  std::filesystem::path traces;
  std::filesystem::path output;
};

struct ExportSummary {
  int64_t traces = 0;
  int64_t tokens = 0;
};

/// Writes a trace for other tools; `foregate import` reads both formats back into an equal trace.
/// Router logits and features stay behind. The folder appears when it is whole; memory holds one
/// text. Throws UsageError (an output that exists), EnvironmentError, DataError (a broken or
/// unfinished trace), InterruptedError.
ExportSummary export_traces(const ExportOptions& options, const RunContext& run = silent_run());

}  // namespace foregate::trace
