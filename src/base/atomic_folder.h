#pragma once

#include <filesystem>
#include <optional>

#include "base/output_folder.h"

namespace foregate {

/// A folder that appears under its name only when it is whole: filled as `<path>.tmp`, renamed by
/// commit(). Without commit() the temporary is removed, and parents that were made for it; a
/// process that is killed leaves it, and the next one removes it if a marker says that it came from
/// here and no other process holds it.
class AtomicFolder {
 public:
  /// Throws UsageError if there is something at `path` (an empty folder is taken over),
  /// EnvironmentError if the temporary cannot be made, is not ours or is being filled by another
  /// process.
  explicit AtomicFolder(const std::filesystem::path& path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to put files until commit().
  const std::filesystem::path& temporary_path() const { return temporary_; }
  /// Renames the folder and syncs its parent; its files were synced by whoever wrote them. Throws
  /// EnvironmentError.
  void commit();

 private:
  void take_over();

  std::optional<MadeFolders> parents_;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int marker_ = -1;  ///< open and locked while the folder is being filled
};

}  // namespace foregate
