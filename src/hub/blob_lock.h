#pragma once

#include <filesystem>
#include <string>

#include "hub/http.h"

namespace foregate::hub {

/// The lock under which a blob is downloaded, the same that huggingface_hub takes (through the
/// filelock package): an exclusive flock() on a file that stays when it is released. Keeps other
/// processes and other threads out.
class BlobLock {
 public:
  /// Waits until the lock is free; after a moment says in `log` that it waits for `what`. On file
  /// systems without locks it goes on without one: a blob is checked before it gets its name, so
  /// that two at once only download it twice. Throws EnvironmentError, Stopped.
  BlobLock(const std::filesystem::path& path, const std::string& what, const StopToken& stop,
           Logger& log);
  ~BlobLock();
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace foregate::hub
