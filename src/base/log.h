#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace foregate::log {

enum class Level { kQuiet, kNormal, kVerbose };

/// Talk goes to stderr; results go to stdout by other means. `kQuiet` keeps warnings and errors.
void set_level(Level level);
Level level();

void write_debug(std::string_view message);
void write_info(std::string_view message);
void write_warning(std::string_view message);
void write_error(std::string_view message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (level() == Level::kVerbose) write_debug(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write_info(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write_warning(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace foregate::log
