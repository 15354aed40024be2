#pragma once

#include <atomic>

#include "terminal/stderr_style.h"

namespace foregate {

enum class Verbosity { kQuiet, kNormal, kVerbose };

/// Standard error as progress and messages share it: how much is said, and whether a bar stands on
/// the last line, which has to go before anything else is written.
struct Screen {
  const StderrStyle style = stderr_style();
  std::atomic<Verbosity> verbosity{Verbosity::kNormal};
  std::atomic<bool> bar_shown{false};

  void clear_bar();
};

}  // namespace foregate
