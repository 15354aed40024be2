#include "stats/shard_scan.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace foregate::stats {
namespace {

constexpr unsigned kMostThreads = 16;

}  // namespace

int scan_threads(const trace::TraceDirectory& directory) {
  const size_t shards = directory.manifest().shards.size();
  const size_t cores = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  return static_cast<int>(std::clamp<size_t>(shards, 1, cores));
}

void visit_shards(const trace::TraceDirectory& directory, const trace::TraceColumns& columns,
                  int threads,
                  const std::function<void(int thread, const trace::Trace& trace)>& visit,
                  const std::function<void(int64_t traces)>& on_progress) {
  const size_t shards = directory.manifest().shards.size();
  std::atomic<size_t> next = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  int64_t done = 0;
  std::exception_ptr error;
  const auto work = [&](int thread) {
    try {
      trace::Trace trace;
      for (size_t shard = next++; shard < shards && !stop; shard = next++) {
        trace::ShardReader reader = directory.open_shard(shard, columns);
        while (!stop && reader.next(trace)) {
          visit(thread, trace);
          const std::lock_guard lock(mutex);
          ++done;
          if (on_progress) on_progress(done);
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      stop = true;
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int thread = 1; thread < threads; ++thread) workers.emplace_back(work, thread);
    work(0);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace foregate::stats
