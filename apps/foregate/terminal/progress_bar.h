#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/run_context.h"
#include "terminal/screen.h"

namespace foregate {

/// A bar with rate and time left on a terminal, as wide as that is; a plain line every few seconds
/// elsewhere. Messages do not break the bar. The unit "B" is shown as kB, MB, GB.
class TerminalProgress : public ProgressSink {
 public:
  explicit TerminalProgress(Screen& screen) : screen_(screen) {}
  std::unique_ptr<ProgressTask> start(ProgressInfo info) override;

 private:
  Screen& screen_;
};

/// "1,234 texts/s", "1.2 MB/s"; slow ones, or if `per_minute`, "2.4 texts/min".
std::string rate_text(double per_second, const std::string& unit, bool per_minute);

}  // namespace foregate
