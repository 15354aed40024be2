#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace foregate::hub {

PartialFile::PartialFile(const fs::path& path) : path_(path) {
  // 0666: the process's umask decides, as for every file of the cache.
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) throw_io_error("cannot create", path, errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    const int error = errno;
    ::close(descriptor_);
    throw_io_error("cannot read", path, error);
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

PartialFile::~PartialFile() {
  ::close(descriptor_);
}

void PartialFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_io_error("cannot write", path_, errno);
    }
    size_ += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void PartialFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) throw_io_error("cannot write", path_, errno);
  size_ = 0;
}

size_t PartialFile::read_at(uint64_t offset, std::span<std::byte> buffer) const {
  while (true) {
    const ssize_t count =
        ::pread(descriptor_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) throw_io_error("cannot read", path_, errno);
  }
}

void PartialFile::commit(const fs::path& path) {
  sync_and_rename(path_, path);
}

}  // namespace foregate::hub
