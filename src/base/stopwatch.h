#pragma once

#include <chrono>

namespace foregate {

/// Adds up the time between start() and stop(). Not for several threads at once.
class Stopwatch {
 public:
  void start() {
    begin_ = Clock::now();
    running_ = true;
  }
  /// Does nothing unless it runs.
  void stop() {
    if (running_) sum_ += Clock::now() - begin_;
    running_ = false;
  }
  /// So far, the open stretch included.
  double seconds() const {
    return std::chrono::duration<double>(running_ ? sum_ + (Clock::now() - begin_) : sum_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_;
  Clock::duration sum_{};
  bool running_ = false;
};

}  // namespace foregate
