#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/log.h"

namespace foregate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kTerminalInterval = std::chrono::milliseconds(100);
constexpr auto kPlainInterval = std::chrono::seconds(5);

constexpr double kSlow = 1;    // a second: below this rates are given by the minute
constexpr double kWhole = 10;  // from which on decimals say nothing

// Whether a bar stands on the terminal's last line; log lines wipe it first.
std::atomic<bool> bar_on_screen{false};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string bar(double share, int width) {
  const int filled = static_cast<int>(share * width);
  return std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(width - filled), '.');
}

/// "1,234 traces", "1.2 GB".
std::string quantity(int64_t value, const std::string& unit) {
  if (unit == "B") return human_bytes(static_cast<uint64_t>(std::max<int64_t>(value, 0)));
  return with_commas(value) + " " + unit;
}

/// "5/10 traces", "1.2 MB/1.2 GB".
std::string share(int64_t done, int64_t total, const std::string& unit) {
  const std::string so_far = unit == "B" ? quantity(done, unit) : with_commas(done);
  return so_far + "/" + quantity(total, unit);
}

}  // namespace

void clear_progress_line() {
  if (bar_on_screen.exchange(false)) std::fputs("\r\033[K", stderr);
}

Progress::Progress(std::string label, std::string unit, int64_t total, bool per_minute,
                   int64_t done_before)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      per_minute_(per_minute),
      done_before_(done_before),
      done_(done_before),
      start_(Clock::now()),
      last_draw_(start_ - kPlainInterval),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  clear_progress_line();
}

void Progress::update(int64_t done, std::string_view remark) {
  done_ = done;
  remark_ = remark;
  const auto now = Clock::now();
  if (now - last_draw_ <
      (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval)))
    return;
  last_draw_ = now;
  draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  draw(true);
}

void Progress::draw(bool last) {
  if (log::level() == log::Level::kQuiet) return;
  const double elapsed = std::max(seconds_since(start_), 1e-9);
  const double rate = static_cast<double>(done_ - done_before_) / elapsed;
  std::string line = label_ + " ";
  if (terminal_ && !last && total_ > 0) {
    line += fmt::format(
        "[{}] ",
        bar(std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0), 24));
  }
  line += total_ > 0 ? share(done_, total_, unit_) : quantity(done_, unit_);
  if (rate > 0) line += ", " + rate_text(rate, unit_, per_minute_);
  if (!remark_.empty()) line += ", " + remark_;
  if (last) {
    line += ", took " + clock_time(elapsed);
  } else if (rate > 0 && total_ > done_) {
    line += ", ETA " + clock_time(static_cast<double>(total_ - done_) / rate);
  }
  if (terminal_ && !last) {
    std::fprintf(stderr, "\r%.*s\033[K", terminal_width() - 1, line.c_str());
    bar_on_screen = true;
  } else {
    clear_progress_line();
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

std::string with_commas(int64_t value) {
  const std::string digits = std::to_string(value);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool behind_digit = i > 0 && digits[i - 1] != '-';
    if (behind_digit && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string clock_time(double seconds) {
  const auto total = static_cast<int64_t>(seconds + 0.5);
  if (total >= 3600)
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(units)) value /= 1000, ++unit;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string rate_text(double per_second, const std::string& unit, bool per_minute) {
  const bool by_minute = per_minute || (per_second < kSlow && unit != "B");
  const double rate = by_minute ? 60 * per_second : per_second;
  const char* suffix = by_minute ? "/min" : "/s";
  if (rate >= kWhole || unit == "B") return quantity(static_cast<int64_t>(rate), unit) + suffix;
  return fmt::format("{:.1f} {}{}", rate, unit, suffix);
}

}  // namespace foregate
