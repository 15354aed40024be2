#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace foregate::hub {

/// A file that grows over several runs and gets its name when it is whole. What was written stays
/// when the process ends at any moment. Errors are EnvironmentErrors that name the file and the
/// cause, a full disk included.
class PartialFile {
 public:
  /// Opens what an earlier run left, or makes an empty file.
  explicit PartialFile(const std::filesystem::path& path);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  uint64_t size() const { return size_; }
  void append(std::span<const std::byte> bytes);
  /// Back to nothing.
  void clear();
  /// Reads into `buffer` from `offset` on; returns the bytes read, 0 at the end.
  size_t read_at(uint64_t offset, std::span<std::byte> buffer) const;
  /// Syncs, and renames to `path`.
  void commit(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace foregate::hub
