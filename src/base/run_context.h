#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace foregate {

/// What a long job says about itself when it starts.
struct ProgressInfo {
  std::string label;        ///< "collect"
  std::string unit;         ///< what is counted: "traces"; "B" for bytes
  int64_t total = 0;        ///< 0: not known beforehand
  bool per_minute = false;  ///< the rate is best told by the minute
  int64_t done_before = 0;  ///< by an earlier run: counts as done, not for the rate
};

/// How far one job is. It ends with its owner, finished or not.
class ProgressTask {
 public:
  virtual ~ProgressTask() = default;
  ProgressTask() = default;
  ProgressTask(const ProgressTask&) = delete;
  ProgressTask& operator=(const ProgressTask&) = delete;

  /// How much is done now, with a remark to show beside it ("12,345 tokens/s"). Called often, from
  /// one thread at a time; whoever shows it chooses when.
  void update(int64_t done, std::string_view remark = {}) { take(done, remark); }
  /// All is done.
  virtual void finish() = 0;

 private:
  virtual void take(int64_t done, std::string_view remark) = 0;
};

/// Where long jobs show how far they are.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// The task must not outlive the sink. What it throws ends the job.
  virtual std::unique_ptr<ProgressTask> start(ProgressInfo info) = 0;
};

/// Asks for an orderly stop: work looks at it between two of its steps.
class StopToken {
 public:
  virtual ~StopToken() = default;
  /// From any thread, often.
  virtual bool stop_requested() const = 0;
  /// Throws InterruptedError if a stop is asked for. `kept` says what the user still has ("finished
  /// shards are kept; run the same command again to continue").
  void check(std::string_view kept) const;
};

enum class LogLevel { kDebug, kInfo, kWarning };

/// Takes one-line messages for people, from any thread. Errors are thrown, not logged.
class Logger {
 public:
  virtual ~Logger() = default;

  template <typename... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) {
    say(LogLevel::kDebug, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    say(LogLevel::kInfo, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) {
    say(LogLevel::kWarning, format, std::forward<Args>(args)...);
  }

 private:
  /// Whether messages of this level are read at all; others are not even put together.
  virtual bool wants(LogLevel level) const = 0;
  virtual void write(LogLevel level, std::string_view message) = 0;

  template <typename... Args>
  void say(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (wants(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
  }
};

/// What a job gets from whoever starts it: the program's terminal, a notebook, a test. Libraries
/// neither print nor look for signals; all of that goes through here. Parts outlive the job; the
/// struct itself is copied freely.
struct RunContext {
  ProgressSink& progress;
  const StopToken& stop;
  Logger& log;
};

/// Shows nothing, says nothing, never stops.
const RunContext& silent_run();

}  // namespace foregate
