#include "tensor/device/brief_waits.h"

#include <omp.h>

#include <atomic>
#include <cstdlib>

namespace foregate::tensor {
namespace {

bool user_chose() {
  return std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr;
}

}  // namespace

BriefWaits::BriefWaits() {
  if (user_chose()) return;
  keeper_ = std::jthread([this] {
    // The team stays when the region ends, and sleeps until this thread ends. Each counts itself:
    // an empty region would be optimized away.
    std::atomic<int> threads = 0;
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
    ++threads;
    std::unique_lock lock(mutex_);
    ready_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return ending_; });
  });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_; });
}

BriefWaits::~BriefWaits() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  changed_.notify_all();
}

}  // namespace foregate::tensor
