#pragma once

#include <filesystem>
#include <vector>

namespace foregate {

/// Makes a folder and its parents, and takes back what nothing came into: at its end, those that it
/// made are removed as far as they are empty. So a command that fails leaves no empty folder.
class MadeFolders {
 public:
  /// Throws EnvironmentError as make_output_directory() does.
  explicit MadeFolders(const std::filesystem::path& path);
  ~MadeFolders();
  MadeFolders(const MadeFolders&) = delete;
  MadeFolders& operator=(const MadeFolders&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  ///< from the outermost on
};

/// A folder that this process alone fills, for as long as the object lives. Files that are there
/// stay. (AtomicFolder is for folders that are filled once.)
class OutputFolder {
 public:
  /// Makes the folder if it is not there. Throws EnvironmentError if it cannot be made or written
  /// to, or if another process fills it.
  explicit OutputFolder(const std::filesystem::path& path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

 private:
  MadeFolders folders_;
  std::filesystem::path lock_path_;
  int lock_ = -1;  ///< open and locked; -1 on file systems without locks
};

}  // namespace foregate
