#pragma once

#include <filesystem>

namespace foregate {

/// A directory that is there while this is, with all that comes into it.
class ScratchDirectory {
 public:
  /// Makes it and its parents. Throws UsageError if it is there already.
  explicit ScratchDirectory(const std::filesystem::path& path);
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

 private:
  std::filesystem::path path_;
};

}  // namespace foregate
