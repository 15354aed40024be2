#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"

namespace foregate {

/// A text file in memory, unpacked if it is compressed (base/unpack.h), as UTF-8 if it is UTF-16,
/// its byte-order mark passed over. The text is mapped, not held: memory is the system's to
/// reclaim.
class TextFile {
 public:
  /// Throws EnvironmentError (missing, no room to unpack) or DataError (damaged, an archive,
  /// UTF-32, a pointer in place of the file).
  explicit TextFile(const std::filesystem::path& path);

  std::string_view text() const { return text_; }
  std::string where() const { return path_.string(); }

 private:
  /// Goes on with the content of a temporary file, which loses its name at once.
  void replace(const std::filesystem::path& temporary);

  std::filesystem::path path_;
  std::optional<MappedFile> file_;
  std::string_view text_;
};

/// The line of `text` at `position`, which is moved behind it, without its line end (LF or CRLF).
std::string_view next_line(std::string_view text, size_t& position);

}  // namespace foregate
