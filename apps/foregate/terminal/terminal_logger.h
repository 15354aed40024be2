#pragma once

#include <memory>
#include <string_view>

#include "base/run_context.h"
#include "terminal/screen.h"

namespace spdlog {
class logger;
}

namespace foregate {

/// Talk on standard error, colored on a terminal unless NO_COLOR is set. Quiet keeps warnings and
/// errors, verbose adds debug messages.
class TerminalLogger : public Logger {
 public:
  explicit TerminalLogger(Screen& screen);
  ~TerminalLogger() override;

  /// What ended the program.
  void error(std::string_view message);

 private:
  bool wants(LogLevel level) const override;
  void write(LogLevel level, std::string_view message) override;

  Screen& screen_;
  std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace foregate
