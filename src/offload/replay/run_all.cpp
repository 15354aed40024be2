#include "offload/replay/run_all.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace foregate::offload {

void run_all(const std::vector<std::function<void()>>& tasks, int threads) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < tasks.size(); i = next++) tasks[i]();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      next = tasks.size();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace foregate::offload
