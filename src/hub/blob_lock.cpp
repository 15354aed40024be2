#include "hub/blob_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/files.h"

namespace foregate::hub {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(100);
constexpr int kPollsBeforeSaying = 20;

/// Others of the group may wait for the lock of a shared cache.
constexpr mode_t kMode = 0664;

int open_lock(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode);
  if (descriptor < 0) throw_io_error("cannot open the lock", path, errno);
  return descriptor;
}

/// Whether the file still has a name: one that was removed locks nobody out.
bool has_name(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

BlobLock::BlobLock(const fs::path& path, const std::string& what, const StopToken& stop,
                   Logger& log) {
  for (int polls = 0;; ++polls) {
    descriptor_ = open_lock(path);
    const int result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
    const int error = errno;
    if (result == 0 && has_name(descriptor_)) return;
    if (result != 0 && error != EWOULDBLOCK && error != EACCES && error != EINTR) {
      log.warning("{} cannot be locked (the file system has no locks?); {} is downloaded anyway",
                  path.string(), what);
      return;
    }
    ::close(descriptor_);
    descriptor_ = -1;
    if (stop.stop_requested()) throw Stopped();
    if (polls == kPollsBeforeSaying) {
      log.info("waiting for another process that downloads {}", what);
    }
    std::this_thread::sleep_for(kPoll);
  }
}

BlobLock::~BlobLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace foregate::hub
