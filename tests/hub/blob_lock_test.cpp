#include "hub/blob_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/error.h"
#include "support/recorded_run.h"
#include "support/temporary_folder.h"

namespace foregate::hub {
namespace {

TEST(BlobLock, KeepsOthersOut) {
  const testing::TemporaryFolder scratch;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const BlobLock lock(scratch.path() / "x.lock", "x", silent_run().stop, silent_run().log);
      most = std::max<int>(most, ++inside);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      --inside;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "x.lock"));  // it stays, as filelock's does
}

TEST(BlobLock, WaitingCanBeStopped) {
  const testing::TemporaryFolder scratch;
  const BlobLock held(scratch.path() / "x.lock", "x", silent_run().stop, silent_run().log);
  testing::RecordedRun run;
  run.stop_after(0);
  EXPECT_THROW(BlobLock(scratch.path() / "x.lock", "x", run.context().stop, run.context().log),
               Stopped);
}

TEST(BlobLock, NoFolderIsAnError) {
  const testing::TemporaryFolder scratch;
  EXPECT_THROW(BlobLock(scratch.path() / "none/x.lock", "x", silent_run().stop, silent_run().log),
               EnvironmentError);
}

}  // namespace
}  // namespace foregate::hub
