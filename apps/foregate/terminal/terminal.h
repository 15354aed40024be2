#pragma once

#include "base/run_context.h"
#include "terminal/interrupt.h"
#include "terminal/progress_bar.h"
#include "terminal/screen.h"
#include "terminal/terminal_logger.h"

namespace foregate {

/// The program's side of a run: bars and messages on standard error, Ctrl-C. Made once, by main.
class Terminal {
 public:
  void set_verbosity(Verbosity verbosity) { screen_.verbosity = verbosity; }
  const RunContext& context() const { return context_; }
  /// What ended the program.
  void print_error(std::string_view message) { log_.error(message); }

 private:
  Screen screen_;
  TerminalProgress progress_{screen_};
  InterruptSignals interrupt_;
  TerminalLogger log_{screen_};
  const RunContext context_{progress_, interrupt_, log_};
};

}  // namespace foregate
