#include "hub/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/number_text.h"
#include "base/stopwatch.h"
#include "hub/download.h"
#include "hub/http.h"
#include "hub/listing.h"
#include "hub/repo_cache.h"

namespace foregate::hub {
namespace {

namespace fs = std::filesystem;

constexpr auto kShowEvery = std::chrono::milliseconds(100);

/// One file to download, with what an earlier run left of it.
struct Job {
  RemoteFile file;
  uint64_t resumed = 0;
};

/// Threads that work off the jobs; the first error ends all of them, as a stop does.
class Workers : private StopToken {
 public:
  Workers(const Environment& environment, const RepoCache& cache, const Source& source,
          const std::vector<Job>& jobs, const RunContext& run, Meter& meter)
      : environment_(environment),
        cache_(cache),
        source_(source),
        jobs_(jobs),
        run_(run),
        meter_(meter) {}

  ~Workers() override {
    failed_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  void start(int count) {
    running_ = count;
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }

  /// Waits for the end, or for a moment; whether the end has come.
  bool wait() {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, kShowEvery, [&] { return running_ == 0; });
  }

  /// After the end.
  void rethrow_error() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  bool stop_requested() const override { return failed_ || run_.stop.stop_requested(); }

  void work() {
    try {
      HttpClient client(environment_, *this, run_.log);
      for (size_t i = next_++; i < jobs_.size(); i = next_++) {
        FileMeter meter(meter_, jobs_[i].resumed);
        download_file(client, cache_, source_, jobs_[i].file, meter);
        ++meter_.files;
      }
    } catch (const Stopped&) {
      // Another's error, or a stop: whoever waits knows.
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
    }
    const std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_all();
  }

  const Environment& environment_;
  const RepoCache& cache_;
  const Source& source_;
  const std::vector<Job>& jobs_;
  const RunContext run_;
  Meter& meter_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

/// Refuses to begin what the disk cannot hold.
void check_space(const RepoCache& cache, uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(cache.folder(), error);
  if (error || bytes <= space.available) return;
  throw EnvironmentError(
      fmt::format("{}: {} are to be downloaded, {} are free; free some space, or set HF_HUB_CACHE "
                  "to a folder on another disk",
                  cache.folder().string(), human_bytes(bytes), human_bytes(space.available)));
}

std::vector<RemoteFile> chosen_files(const Listing& listing, const PullOptions& options) {
  Paths paths;
  for (const RemoteFile& file : listing.files) paths.push_back(file.path);
  const Paths chosen = select(paths, options.selection, options.usual, options.repo.description());
  const std::set<std::string> wanted(chosen.begin(), chosen.end());
  std::vector<RemoteFile> files;
  std::ranges::copy_if(listing.files, std::back_inserter(files),
                       [&](const RemoteFile& file) { return wanted.contains(file.path); });
  return files;
}

/// Downloads with the progress shown. Throws InterruptedError if a stop ended it.
void run_jobs(std::vector<Job>& jobs, const PullOptions& options, const Environment& environment,
              const RepoCache& cache, const Source& source, const RunContext& run,
              PullSummary& summary) {
  // The largest first: the end is not spent waiting for one of them.
  std::ranges::stable_sort(jobs, std::greater(), [](const Job& job) { return job.file.size; });
  int64_t total = 0;
  for (const Job& job : jobs) {
    total += static_cast<int64_t>(job.file.size);
    summary.resumed_bytes += static_cast<int64_t>(job.resumed);
  }
  check_space(cache, static_cast<uint64_t>(std::max<int64_t>(total - summary.resumed_bytes, 0)));
  Meter meter;
  meter.done = summary.resumed_bytes;
  const auto progress = run.progress.start(
      {.label = "pulling", .unit = "B", .total = total, .done_before = summary.resumed_bytes});
  const auto files_done = [&] {
    return fmt::format("{}/{} files", meter.files.load(), jobs.size());
  };
  Workers workers(environment, cache, source, jobs, run, meter);
  workers.start(std::min<int>(options.jobs, static_cast<int>(jobs.size())));
  while (!workers.wait()) progress->update(meter.done, files_done());
  summary.received_bytes = meter.received;
  workers.rethrow_error();
  run.stop.check(fmt::format(
      "{} and {} of {} are in the cache; run the same command again to continue", files_done(),
      human_bytes(static_cast<uint64_t>(meter.done)), human_bytes(static_cast<uint64_t>(total))));
  progress->update(meter.done, files_done());
  progress->finish();
}

PullSummary find_offline(const PullOptions& options, const RepoCache& cache, Logger& log) {
  const auto commit = cache.commit_of(options.revision);
  if (!commit || !fs::is_directory(cache.snapshot(*commit))) {
    throw EnvironmentError(
        fmt::format("{} is not in the cache ({}) at revision '{}', and HF_HUB_OFFLINE forbids to "
                    "download it; unset HF_HUB_OFFLINE",
                    options.repo.description(), cache.folder().string(), options.revision));
  }
  log.warning(
      "HF_HUB_OFFLINE is set: the hub is not asked, what is in the cache is taken as it is");
  PullSummary summary;
  summary.commit = *commit;
  summary.snapshot = cache.snapshot(*commit);
  summary.offline = true;
  return summary;
}

Listing list_or_stop(const PullOptions& options, const Environment& environment,
                     const RunContext& run) {
  try {
    HttpClient client(environment, run.stop, run.log);
    return list_repository(client, options.repo, options.revision);
  } catch (const Stopped&) {
    throw InterruptedError("interrupted; nothing was downloaded yet");
  }
}

}  // namespace

PullSummary pull(const PullOptions& options, const Environment& environment,
                 const RunContext& run) {
  Stopwatch clock;
  clock.start();
  if (!is_revision(options.revision)) {
    throw UsageError(fmt::format("--revision '{}' is no name that git allows", options.revision));
  }
  const RepoCache cache(environment.cache, options.repo);
  if (environment.offline) return find_offline(options, cache, run.log);

  const Listing listing = list_or_stop(options, environment, run);
  const std::vector<RemoteFile> files = chosen_files(listing, options);
  cache.prepare();
  PullSummary summary;
  summary.commit = listing.commit;
  summary.snapshot = cache.snapshot(listing.commit);
  std::vector<Job> jobs;
  uint64_t bytes = 0;
  for (const RemoteFile& file : files) {
    const bool cached = cache.has_file(listing.commit, file.path, file.size);
    summary.files.push_back({file.path, file.size, cached});
    bytes += file.size;
    if (!cached) jobs.push_back({file, std::min(cache.incomplete_size(file.hash), file.size)});
  }
  run.log.info("{} at {}: {}, {}; {} already in the cache", options.repo.description(),
               listing.commit.substr(0, 12), number_of(std::ssize(files), "file"),
               human_bytes(bytes), files.size() - jobs.size());
  const Source source{options.repo, options.revision, listing.commit};
  if (!jobs.empty()) run_jobs(jobs, options, environment, cache, source, run, summary);
  // Last: until here the name of the revision led to what was whole before.
  cache.write_ref(options.revision, listing.commit);
  summary.seconds = clock.seconds();
  return summary;
}

}  // namespace foregate::hub
