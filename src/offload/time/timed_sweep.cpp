#include "offload/time/timed_sweep.h"

#include <mutex>

#include "base/error.h"
#include "offload/replay/run_all.h"

namespace foregate::offload {
namespace {

constexpr int64_t kStepsBetweenReports = 256;

/// Adds up what all threads have done.
class SharedProgress {
 public:
  SharedProgress(const TimedSweepOptions& options, size_t cells, const RunContext& run)
      : run_(run),
        task_(run.progress.start({.label = "simulate",
                                  .unit = "tokens",
                                  .total = options.expected_tokens * static_cast<int64_t>(cells),
                                  .per_minute = true})) {}

  void add(int64_t tokens) {
    run_.stop.check("nothing was written");
    const std::lock_guard lock(mutex_);
    done_ += tokens;
    task_->update(done_);
  }
  void finish() { task_->finish(); }

 private:
  const RunContext& run_;
  std::mutex mutex_;
  int64_t done_ = 0;
  std::unique_ptr<ProgressTask> task_;
};

void run_cell(const trace::Geometry& geometry, TextSource& texts, const TimedCell& cell,
              const ScheduleOptions& schedule, TimedOutcome& outcome, SharedProgress& progress) {
  std::unique_ptr<TimedReplay> replay;
  try {
    replay = std::make_unique<TimedReplay>(geometry, cell.options,
                                           cell.foresight ? cell.foresight() : nullptr);
  } catch (const UsageError& error) {
    outcome.impossible = error.what();
    return;
  }
  replay->set_timeline(cell.timeline);
  StepStream steps(texts, schedule);
  int64_t tokens = 0;
  for (Step step; steps.next(step);) {
    if (step.number == cell.timeline_steps) replay->set_timeline({});
    replay->run(step);
    tokens += step.num_tokens;
    if (step.number % kStepsBetweenReports != 0) continue;
    progress.add(tokens);
    tokens = 0;
  }
  progress.add(tokens);
  outcome.result = replay->result();
}

}  // namespace

std::vector<TimedOutcome> timed_sweep(
    const trace::Geometry& geometry, const std::function<std::unique_ptr<TextSource>()>& open_texts,
    const std::vector<TimedCell>& cells, const TimedSweepOptions& options, const RunContext& run) {
  check_schedule(options.schedule);
  std::vector<TimedOutcome> outcomes(cells.size());
  SharedProgress progress(options, cells.size(), run);
  std::vector<std::function<void()>> tasks;
  for (size_t i = 0; i < cells.size(); ++i) {
    tasks.push_back([&, i] {
      const std::unique_ptr<TextSource> texts = open_texts();
      run_cell(geometry, *texts, cells[i], options.schedule, outcomes[i], progress);
    });
  }
  run_all(tasks, options.threads);
  progress.finish();
  return outcomes;
}

}  // namespace foregate::offload
