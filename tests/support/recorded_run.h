#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/run_context.h"

namespace foregate::testing {

/// Keeps what a job tells its run context, and asks it to stop after so many updates.
class RecordedRun : private ProgressSink, private StopToken, private Logger {
 public:
  /// The jobs that began, with how often each was told how far it is and what came last.
  struct Job {
    ProgressInfo info;
    int64_t updates = 0;
    int64_t done = 0;
    bool finished = false;
  };

  const RunContext& context() const { return context_; }
  /// From the update `updates` of all jobs on a stop is asked for; 0: from the start.
  void stop_after(int64_t updates) { stop_after_ = updates; }

  std::vector<Job> jobs() const {
    const std::lock_guard lock(mutex_);
    return jobs_;
  }
  /// "warning: ...", "info: ...", "debug: ..."
  std::vector<std::string> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  class Task : public ProgressTask {
   public:
    Task(RecordedRun& run, size_t job) : run_(run), job_(job) {}
    void finish() override {
      const std::lock_guard lock(run_.mutex_);
      run_.jobs_[job_].finished = true;
    }

   private:
    void take(int64_t done, std::string_view /*remark*/) override {
      const std::lock_guard lock(run_.mutex_);
      ++run_.jobs_[job_].updates;
      run_.jobs_[job_].done = done;
      ++run_.updates_;
    }

    RecordedRun& run_;
    size_t job_;
  };

  std::unique_ptr<ProgressTask> start(ProgressInfo info) override {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({.info = std::move(info)});
    return std::make_unique<Task>(*this, jobs_.size() - 1);
  }
  bool stop_requested() const override { return updates_ >= stop_after_; }
  bool wants(LogLevel /*level*/) const override { return true; }
  void write(LogLevel level, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    const char* name = level == LogLevel::kWarning ? "warning: "
                       : level == LogLevel::kInfo  ? "info: "
                                                   : "debug: ";
    messages_.push_back(name + std::string(message));
  }

  mutable std::mutex mutex_;
  std::vector<Job> jobs_;
  std::vector<std::string> messages_;
  std::atomic<int64_t> updates_{0};
  std::atomic<int64_t> stop_after_{INT64_MAX};
  const RunContext context_{*this, *this, *this};
};

}  // namespace foregate::testing
