#include "base/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/progress.h"

namespace foregate::log {
namespace {

std::atomic<Level> current_level{Level::kNormal};

spdlog::logger& logger() {
  static const auto instance = [] {
    auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
    auto made = std::make_shared<spdlog::logger>("foregate", std::move(sink));
    made->set_level(spdlog::level::debug);
    made->set_pattern("%^%v%$");
    return made;
  }();
  return *instance;
}

void write(spdlog::level::level_enum severity, const char* prefix, std::string_view message) {
  clear_progress_line();
  logger().log(severity, "{}{}", prefix, message);
}

}  // namespace

void set_level(Level level) {
  current_level = level;
}
Level level() {
  return current_level;
}

void write_debug(std::string_view message) {
  write(spdlog::level::debug, "", message);
}
void write_info(std::string_view message) {
  if (level() != Level::kQuiet) write(spdlog::level::info, "", message);
}
void write_warning(std::string_view message) {
  write(spdlog::level::warn, "warning: ", message);
}
void write_error(std::string_view message) {
  write(spdlog::level::err, "error: ", message);
}

}  // namespace foregate::log
