#pragma once

// Internal to trace/: what every export format takes.

#include <filesystem>
#include <memory>

#include "trace/manifest.h"
#include "trace/trace.h"

namespace foregate::trace {

class TraceExporter {
 public:
  virtual ~TraceExporter() = default;
  virtual void add(const Trace& trace) = 0;
  /// Completes the files. Throws EnvironmentError.
  virtual void finish() = 0;
};

// `manifest` is the trace's own: it says how many tokens will come.
std::unique_ptr<TraceExporter> export_arrays(const std::filesystem::path& folder,
                                             const Manifest& manifest);
std::unique_ptr<TraceExporter> export_lines(const std::filesystem::path& folder,
                                            const Manifest& manifest);

}  // namespace foregate::trace
