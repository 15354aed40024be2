#pragma once

#include <filesystem>
#include <string_view>

namespace foregate {

/// A new file in the folder for temporary files (TMPDIR), removed again unless it is kept. Throws
/// EnvironmentError, also from write(), if there is no folder or no room.
class TemporaryFile {
 public:
  TemporaryFile();
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::string_view bytes);
  /// The file's path; who asks for it removes the file.
  const std::filesystem::path& keep();

 private:
  [[noreturn]] void fail() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool kept_ = false;
};

}  // namespace foregate
