#include "terminal/terminal_logger.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

namespace foregate {
namespace {

/// Automatic: as the terminal's name says.
spdlog::color_mode color_mode_of(const StderrStyle& style) {
  return style.colors ? spdlog::color_mode::automatic : spdlog::color_mode::never;
}

}  // namespace

TerminalLogger::TerminalLogger(Screen& screen)
    : screen_(screen),
      logger_(std::make_unique<spdlog::logger>(
          "foregate",
          std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(color_mode_of(screen.style)))) {
  logger_->set_level(spdlog::level::debug);
  logger_->set_pattern("%^%v%$");
}

TerminalLogger::~TerminalLogger() = default;

void TerminalLogger::error(std::string_view message) {
  screen_.clear_bar();
  logger_->log(spdlog::level::err, "error: {}", message);
}

bool TerminalLogger::wants(LogLevel level) const {
  switch (level) {
    case LogLevel::kDebug:
      return screen_.verbosity == Verbosity::kVerbose;
    case LogLevel::kInfo:
      return screen_.verbosity != Verbosity::kQuiet;
    case LogLevel::kWarning:
      break;
  }
  return true;
}

void TerminalLogger::write(LogLevel level, std::string_view message) {
  screen_.clear_bar();
  switch (level) {
    case LogLevel::kDebug:
      logger_->log(spdlog::level::debug, "{}", message);
      return;
    case LogLevel::kInfo:
      logger_->log(spdlog::level::info, "{}", message);
      return;
    case LogLevel::kWarning:
      logger_->log(spdlog::level::warn, "warning: {}", message);
      return;
  }
}

}  // namespace foregate
