#include "base/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/files.h"

namespace foregate {
namespace {

constexpr const char* kLockName = ".foregate-lock";

/// `path` and its parents, as far as they are not there, from the outermost on.
std::vector<fs::path> missing_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path at = path; !at.empty() && !fs::exists(fs::symlink_status(at, error));) {
    if (at.has_filename()) missing.push_back(at);
    if (at == at.parent_path()) break;
    at = at.parent_path();
  }
  std::reverse(missing.begin(), missing.end());
  return missing;
}

void remove_empty(const std::vector<fs::path>& folders) {
  // From the innermost on, as far as they are empty.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    if (::rmdir(folder->c_str()) != 0) break;
  }
}

/// Whether what is open is still what the path names: whoever held the lock may have removed it.
bool is_named(int descriptor, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// An open and locked descriptor; -1 where there are no locks.
int lock_file(const fs::path& path, const fs::path& folder) {
  while (true) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) throw_io_error("cannot write to the output directory", folder, errno);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const bool held = errno == EWOULDBLOCK;
      ::close(descriptor);
      if (!held) return -1;
      throw EnvironmentError(fmt::format(
          "{} is being written by another foregate; wait for it, or choose another --output",
          folder.string()));
    }
    if (is_named(descriptor, path)) return descriptor;
    ::close(descriptor);
  }
}

}  // namespace

MadeFolders::MadeFolders(const fs::path& path) : made_(missing_folders(path)) {
  if (!made_.empty() && made_.front() == "~") {
    throw UsageError(fmt::format(
        "{0} begins with ~, which the shell takes for your home only at the beginning of a word "
        "(--output {0}, not --output={0}); a folder of that name is ./{0}",
        path.string()));
  }
  try {
    make_output_directory(path);
  } catch (const Error&) {
    remove_empty(made_);
    throw;
  }
}

MadeFolders::~MadeFolders() {
  remove_empty(made_);
}

OutputFolder::OutputFolder(const fs::path& path)
    : folders_(path), lock_path_(path / kLockName), lock_(lock_file(lock_path_, path)) {}

OutputFolder::~OutputFolder() {
  // Removed while it is held: whoever opened it meanwhile sees that it has no name any more.
  std::error_code ignored;
  fs::remove(lock_path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace foregate
