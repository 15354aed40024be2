#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"

namespace foregate::text {

/// A text file in memory, unpacked if it is compressed with gzip or Zstandard, its byte-order mark
/// passed over. The text is mapped, not held: memory is the system's to reclaim.
class TextFile {
 public:
  /// Throws EnvironmentError (missing, no room to unpack) or DataError (UTF-16, damaged).
  explicit TextFile(const std::filesystem::path& path);

  std::string_view text() const { return text_; }
  std::string where() const { return path_.string(); }

 private:
  std::filesystem::path path_;
  std::optional<MappedFile> file_;
  std::string_view text_;
};

/// The line of `text` at `position`, which is moved behind it, without its line end (LF or CRLF).
std::string_view next_line(std::string_view text, size_t& position);

}  // namespace foregate::text
