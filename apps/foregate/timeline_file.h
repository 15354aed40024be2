#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "offload/time/timeline.h"

namespace foregate {

/// Spans of a timeline, written as a Chrome trace, which Perfetto opens.
class TimelineFile {
 public:
  offload::TimelineSpan recorder();
  /// Throws EnvironmentError.
  void write(const std::filesystem::path& path) const;

 private:
  std::vector<Json> events_;
};

}  // namespace foregate
