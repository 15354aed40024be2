#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace foregate {

namespace fs = std::filesystem;

/// Throws EnvironmentError: "<what> <path>: <cause>", with what to do where the disk is full or
/// writing is not allowed. `error` is an errno.
[[noreturn]] void throw_io_error(const std::string& what, const fs::path& path, int error);

/// Whole content of a file. Throws EnvironmentError if it is missing or unreadable, DataError if it
/// is larger than `max_bytes` (a guard against being handed the wrong file).
std::string read_file(const fs::path& path, uint64_t max_bytes = 1ULL << 31);

/// Creates `path` and its parents and checks that files can be made in it. Throws EnvironmentError.
void make_output_directory(const fs::path& path);

/// A file mapped read-only. Throws EnvironmentError (missing, unreadable) on construction; empty
/// files map to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A file that appears under its name only when it is whole: written as `<path>.tmp`, synced,
/// renamed by commit(). Without commit() the temporary is removed. Errors name the path and the
/// cause (EnvironmentError), "No space left on device" included.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends at the end of what append() wrote so far.
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  /// Writes at an absolute offset, without moving append()'s position. Holes read as zeros.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  /// Syncs, renames over `path` and syncs the folder.
  void commit();

  const fs::path& path() const { return path_; }
  const fs::path& temporary_path() const { return temporary_; }
  uint64_t size() const { return position_; }

 private:
  fs::path path_;
  fs::path temporary_;
  int descriptor_ = -1;
  uint64_t position_ = 0;
};

/// Renames a finished file into place after syncing it, then syncs the folder; for files another
/// library wrote. Throws EnvironmentError.
void sync_and_rename(const fs::path& from, const fs::path& to);

/// Replaces `path` by `text` atomically.
void write_file_atomically(const fs::path& path, std::string_view text);

}  // namespace foregate
