#include "base/atomic_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/files.h"

namespace foregate {
namespace {

constexpr const char* kMarker = ".foregate-unfinished";

/// "out/" names the folder "out": the temporary stands beside it, not in it.
fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

void require_free(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return;
  if (fs::is_directory(status) && fs::is_empty(path, error)) return;
  throw UsageError(
      fmt::format("{} exists already; choose another --output, or remove it first", path.string()));
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& path) : path_(without_trailing_slash(path)) {
  if (path_.empty()) throw UsageError("--output is empty; expected the name of a new folder");
  require_free(path_);
  temporary_ = path_.string() + ".tmp";
  if (fs::exists(temporary_)) take_over();
  parents_.emplace(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
  make_output_directory(temporary_);
  const fs::path marker = temporary_ / kMarker;
  marker_ = ::open(marker.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (marker_ < 0 || ::flock(marker_, LOCK_EX | LOCK_NB) != 0) {
    throw EnvironmentError(
        fmt::format("cannot lock {}: {}", marker.string(), std::strerror(errno)));
  }
}

/// Removes what a killed run left, and nothing else.
void AtomicFolder::take_over() {
  const int descriptor = ::open((temporary_ / kMarker).c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw EnvironmentError(
        fmt::format("{} is in the way and not a folder that foregate left unfinished; move it away",
                    temporary_.string()));
  }
  const bool held = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  ::close(descriptor);
  if (held) {
    throw EnvironmentError(
        fmt::format("{} is being written by another foregate; wait for it, or choose another "
                    "--output",
                    path_.string()));
  }
  std::error_code error;
  fs::remove_all(temporary_, error);
  if (error) {
    throw EnvironmentError(
        fmt::format("cannot remove {}: {}", temporary_.string(), error.message()));
  }
}

void AtomicFolder::commit() {
  std::error_code ignored;
  fs::remove(temporary_ / kMarker, ignored);
  sync_and_rename(temporary_, path_);
  ::close(marker_);
  marker_ = -1;
}

AtomicFolder::~AtomicFolder() {
  if (marker_ < 0) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  ::close(marker_);
}

}  // namespace foregate
