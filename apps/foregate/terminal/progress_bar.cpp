#include "terminal/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/number_text.h"
#include "terminal/progress_line.h"

namespace foregate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kTerminalInterval = std::chrono::milliseconds(100);
constexpr auto kPlainInterval = std::chrono::seconds(5);

constexpr double kSlow = 1;    // a second: below this rates are given by the minute
constexpr double kWhole = 10;  // from which on decimals say nothing

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// "traces", and of one "trace".
std::string unit_for(int64_t value, const std::string& unit) {
  if (value != 1 || !unit.ends_with('s')) return unit;
  return unit.substr(0, unit.size() - (unit.ends_with("ches") ? 2 : 1));
}

/// "1,234 traces", "1.2 GB".
std::string quantity(int64_t value, const std::string& unit) {
  if (unit == "B") return human_bytes(static_cast<uint64_t>(std::max<int64_t>(value, 0)));
  return with_commas(value) + " " + unit_for(value, unit);
}

/// "5/10 traces", "1.2 MB/1.2 GB".
std::string share(int64_t done, int64_t total, const std::string& unit) {
  const std::string so_far = unit == "B" ? quantity(done, unit) : with_commas(done);
  return so_far + "/" + quantity(total, unit);
}

class Bar : public ProgressTask {
 public:
  Bar(Screen& screen, ProgressInfo info)
      : screen_(screen),
        info_(std::move(info)),
        done_(info_.done_before),
        start_(Clock::now()),
        last_draw_(start_ - kPlainInterval) {}

  ~Bar() override { screen_.clear_bar(); }

  void finish() override {
    if (finished_) return;
    finished_ = true;
    draw(true);
  }

 private:
  void take(int64_t done, std::string_view remark) override {
    done_ = done;
    remark_ = remark;
    const auto now = Clock::now();
    const Clock::duration interval =
        redraws() ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval);
    if (now - last_draw_ < interval) return;
    last_draw_ = now;
    draw(false);
  }

  bool redraws() const { return screen_.style.redraws; }

  void draw(bool last) {
    if (screen_.verbosity == Verbosity::kQuiet) return;
    if (redraws() && !last) {
      // The last column stays free: some terminals begin a new line when it is written.
      std::fprintf(stderr, "\r%s\033[K", line(last).fitted(terminal_width() - 1).c_str());
      screen_.bar_shown = true;
    } else {
      screen_.clear_bar();
      std::fprintf(stderr, "%s\n", line(last).text().c_str());
    }
    std::fflush(stderr);
  }

  ProgressLine line(bool last) const {
    const double elapsed = std::max(seconds_since(start_), 1e-9);
    const double rate = static_cast<double>(done_ - info_.done_before) / elapsed;
    const int64_t total = info_.total;
    ProgressLine line;
    line.label = info_.label;
    if (redraws() && !last && total > 0) {
      line.share = static_cast<double>(done_) / static_cast<double>(total);
    }
    line.numbers = total > 0 ? share(done_, total, info_.unit) : quantity(done_, info_.unit);
    if (rate > 0) line.rate = rate_text(rate, info_.unit, info_.per_minute);
    line.remark = remark_;
    if (last) {
      line.time = "took " + clock_time(elapsed);
    } else if (rate > 0 && total > done_) {
      line.time = "ETA " + clock_time(static_cast<double>(total - done_) / rate);
    }
    return line;
  }

  Screen& screen_;
  const ProgressInfo info_;
  int64_t done_;
  std::string remark_;
  Clock::time_point start_;
  Clock::time_point last_draw_;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<ProgressTask> TerminalProgress::start(ProgressInfo info) {
  return std::make_unique<Bar>(screen_, std::move(info));
}

std::string rate_text(double per_second, const std::string& unit, bool per_minute) {
  const bool by_minute = per_minute || (per_second < kSlow && unit != "B");
  const double rate = by_minute ? 60 * per_second : per_second;
  const char* suffix = by_minute ? "/min" : "/s";
  if (rate >= kWhole || unit == "B") return quantity(static_cast<int64_t>(rate), unit) + suffix;
  return fmt::format("{:.1f} {}{}", rate, unit, suffix);
}

}  // namespace foregate
