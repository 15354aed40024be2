#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace foregate::tensor {

/// While one of these lives, a thread that waits for others soon sleeps instead of spinning. By
/// itself OpenMP's runtime (GCC's libgomp, which libtorch brings) spins 300,000 times, some
/// milliseconds, at every wait: time that other programs, and the thread that is waited for, have
/// to do without on a busy machine.
///
/// The runtime reads OMP_WAIT_POLICY and GOMP_SPINCOUNT once, when it is loaded, before main. But
/// it spins only 1,000 times, some ten microseconds, as soon as it manages more threads than there
/// are processors (libgomp's manual, GOMP_SPINCOUNT). So that many are made here, and sleep.
///
/// Does nothing if the user has set one of the two variables.
class BriefWaits {
 public:
  BriefWaits();
  ~BriefWaits();
  BriefWaits(const BriefWaits&) = delete;
  BriefWaits& operator=(const BriefWaits&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ready_ = false;
  bool ending_ = false;
  std::jthread keeper_;  // whose team the sleeping threads are
};

}  // namespace foregate::tensor
