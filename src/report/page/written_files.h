#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace foregate::report {

/// The files that a report writes into a folder. A hidden list beside them keeps their names, so
/// that the next report into the folder takes away those that it has not itself, and nobody
/// else's.
class WrittenFiles {
 public:
  /// Makes the folder if it is not there. `list`: name of the list, one for each kind of files.
  /// Throws EnvironmentError.
  WrittenFiles(const std::filesystem::path& directory, const std::string& list);

  /// To be called before a file is written: whoever is stopped leaves none that is not listed.
  void add(const std::string& name);
  /// Removes what only an earlier report wrote.
  void finish();

 private:
  std::filesystem::path directory_;
  std::filesystem::path list_;
  std::set<std::string> earlier_;
  std::set<std::string> now_;
};

}  // namespace foregate::report
