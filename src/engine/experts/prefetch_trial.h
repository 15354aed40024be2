#pragma once

#include <array>
#include <cstdint>

namespace foregate::engine {

/// Whether prefetching pays, found out while a model generates: steps with it and without in turns,
/// some at a time, then the better of the two, until it is tried again.
class PrefetchTrial {
 public:
  /// Steps of one turn; turns of each kind in a trial; steps between two trials.
  static constexpr int64_t kTurn = 8;
  static constexpr int64_t kTurns = 4;
  static constexpr int64_t kRest = 2048;
  /// Less than this share of the time is no gain.
  static constexpr double kLeastGain = 0.02;

  /// Whether the next step prefetches.
  bool on() const { return trying() ? turn() % 2 == 1 : pays_; }
  /// A step of generated tokens, run as on() said, took so long.
  void took(double seconds);
  /// What the last trial found; false before there was one.
  bool pays() const { return pays_; }

 private:
  static constexpr int64_t kTrial = 2 * kTurns * kTurn;
  bool trying() const { return steps_ < kTrial; }
  int64_t turn() const { return steps_ / kTurn; }

  int64_t steps_ = 0;                // since the trial began
  std::array<double, 2> seconds_{};  // without, with
  bool pays_ = false;
};

}  // namespace foregate::engine
