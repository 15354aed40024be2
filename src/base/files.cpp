#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "base/error.h"
#include "base/stand_in.h"

namespace foregate {
namespace {

/// A directory opens for reading like a file and only fails at the first read; say so at once.
void require_regular_file(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) {
    const fs::path target = fs::read_symlink(path, error);
    throw EnvironmentError(
        error ? fmt::format("no such file: {}", path.string())
              : fmt::format("{} is a link to {}, which is not there; copy what links lead to, not "
                            "the links (cp -L, rsync -L)",
                            path.string(), target.string()));
  }
  if (fs::is_directory(status)) {
    throw EnvironmentError(fmt::format("{} is a directory; expected a file", path.string()));
  }
}

void sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return;  // Some file systems do not open folders; the rename itself has happened.
  ::fsync(descriptor);
  ::close(descriptor);
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

void throw_io_error(const std::string& what, const fs::path& path, int error) {
  std::string hint;
  if (error == ENOSPC || error == EDQUOT) hint = "; free some space and run the same command again";
  if (error == EACCES || error == EROFS) hint = "; choose a place you may write to";
  throw EnvironmentError(
      fmt::format("{} {}: {}{}", what, path.string(), std::strerror(error), hint));
}

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  require_regular_file(path);
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw_io_error("cannot read", path, errno);
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  if (!error && size > max_bytes) {
    throw DataError(fmt::format("{} is {} bytes, more than the {} expected of such a file",
                                path.string(), size, max_bytes));
  }
  std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (stream.bad()) throw_io_error("cannot read", path, errno);
  refuse_pointer(content, path.string());
  return content;
}

void make_output_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path)) {
    throw EnvironmentError(fmt::format("cannot create the output directory {}: {}", path.string(),
                                       error ? error.message() : "a file is in the way"));
  }
  // access() lies for root and on some network mounts; only making a file tells.
  const fs::path probe = path / ".foregate-write-test";
  const int descriptor = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) throw_io_error("cannot write to the output directory", path, errno);
  ::close(descriptor);
  fs::remove(probe, error);
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  require_regular_file(path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_io_error("cannot open", path, errno);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    const int error = errno;
    ::close(descriptor);
    throw_io_error("cannot read", path, error);
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (address == MAP_FAILED) throw_io_error("cannot map", path, error);
    data_ = static_cast<const std::byte*>(address);
  } else {
    ::close(descriptor);
  }
  try {
    refuse_pointer(text(), path_.string());
  } catch (const DataError&) {
    ::munmap(const_cast<std::byte*>(data_), size_);
    throw;
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path), temporary_(path.string() + ".tmp") {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw_io_error("cannot create", temporary_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  std::error_code ignored;
  fs::remove(temporary_, ignored);
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  write_at(position_, bytes);
  position_ += bytes.size();
}

void AtomicFile::append(std::string_view text) {
  append(std::as_bytes(std::span(text)));
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_io_error("cannot write", path_, errno);
    }
    offset += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw_io_error("cannot write", path_, errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) throw_io_error("cannot write", path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    throw_io_error("cannot create", path_, errno);
  sync_directory(folder_of(path_));
}

void sync_and_rename(const fs::path& from, const fs::path& to) {
  const int descriptor = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_io_error("cannot open", from, errno);
  const int synced = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  if (synced != 0) throw_io_error("cannot write", from, error);
  if (::rename(from.c_str(), to.c_str()) != 0) throw_io_error("cannot create", to, errno);
  sync_directory(folder_of(to));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.append(text);
  file.commit();
}

}  // namespace foregate
