#include "tensor/device/brief_waits.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

namespace foregate::tensor {
namespace {

/// Of this process, now. A thread that was joined is still counted for a moment: the kernel wakes
/// who joins it before it takes it off the list.
int threads() {
  int count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}

/// Whether no more than so many threads are left, before a minute is over.
bool falls_to(int count) {
  for (int tries = 0; tries < 6000; ++tries) {
    if (threads() <= count) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// A variable as it should be in a test, and afterwards as it was. Null: not set.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) const {
    if (value == nullptr) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, value, 1);
    }
  }
  const char* name_;
  std::optional<std::string> before_;
};

/// libgomp's condition for spinning only briefly, and the only one that can be brought about after
/// it is loaded.
TEST(BriefWaits, ThereAreMoreThreadsThanProcessors) {
  const Variable policy("OMP_WAIT_POLICY", nullptr);
  const Variable count("GOMP_SPINCOUNT", nullptr);
  const int before = threads();
  {
    const BriefWaits waits;
    EXPECT_GE(threads() - before, omp_get_num_procs() + 1);
  }
  EXPECT_TRUE(falls_to(before)) << threads() << " threads, " << before << " before";
}

TEST(BriefWaits, TheUserDecides) {
  for (const char* chosen : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}) {
    const Variable policy("OMP_WAIT_POLICY", nullptr);
    const Variable count("GOMP_SPINCOUNT", nullptr);
    const Variable set(chosen, "");
    const int before = threads();
    const BriefWaits waits;
    EXPECT_EQ(threads(), before);
  }
}

}  // namespace
}  // namespace foregate::tensor
