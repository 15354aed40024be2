#include "terminal/stderr_style.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/number_text.h"

namespace foregate {
namespace {

constexpr int kUsualWidth = 80;
constexpr uint64_t kWidest = 10'000;

}  // namespace

StderrStyle stderr_style(const StderrEnvironment& environment) {
  const std::string_view term = environment.term == nullptr ? "" : environment.term;
  const bool knows_orders = environment.is_terminal && !term.empty() && term != "dumb";
  const bool plain = environment.no_color != nullptr && environment.no_color[0] != '\0';
  return {.redraws = knows_orders, .colors = knows_orders && !plain};
}

StderrStyle stderr_style() {
  return stderr_style({.is_terminal = ::isatty(STDERR_FILENO) != 0,
                       .term = std::getenv("TERM"),
                       .no_color = std::getenv("NO_COLOR")});
}

int terminal_width(const char* columns, int of_terminal) {
  if (columns != nullptr) {
    const std::optional<uint64_t> wanted = parse_whole_number(columns);
    if (wanted && *wanted > 0 && *wanted <= kWidest) return static_cast<int>(*wanted);
  }
  return of_terminal > 0 ? of_terminal : kUsualWidth;
}

int terminal_width() {
  winsize size{};
  const bool told = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
  return terminal_width(std::getenv("COLUMNS"), told ? size.ws_col : 0);
}

}  // namespace foregate
