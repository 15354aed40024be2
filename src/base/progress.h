#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace foregate {

/// Progress of one long job: a bar with rate and time left on a terminal, a plain line every few
/// seconds elsewhere. Always on stderr. Log lines do not break the bar.
class Progress {
 public:
  /// `unit` names what is counted ("traces"; "B" is shown as kB, MB, GB); the rate is printed per
  /// minute if `per_minute`, else per second. `done_before` is what an earlier run finished: it
  /// counts as done, not for the rate.
  Progress(std::string label, std::string unit, int64_t total, bool per_minute = false,
           int64_t done_before = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Sets how much is done, with a remark behind the numbers ("12,345 tokens/s"). Cheap: draws at
  /// most ten times a second.
  void update(int64_t done, std::string_view remark = {});
  /// Draws the last state and ends the line.
  void finish();

 private:
  void draw(bool last);

  std::string label_;
  std::string unit_;
  int64_t total_;
  bool per_minute_;
  int64_t done_before_;
  int64_t done_;
  std::string remark_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_draw_;
  bool terminal_;
  bool finished_ = false;
};

/// Wipes the bar from the terminal before something else is written to stderr.
void clear_progress_line();

/// 1234567 -> "1,234,567".
std::string with_commas(int64_t value);
/// Seconds -> "1:02:03" or "2:03".
std::string clock_time(double seconds);
/// Bytes -> "1.2 GB" (powers of 1000).
std::string human_bytes(uint64_t bytes);
/// "1,234 texts/s", "1.2 MB/s"; slow ones, or if `per_minute`, "2.4 texts/min".
std::string rate_text(double per_second, const std::string& unit, bool per_minute);

}  // namespace foregate
