#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"

namespace foregate {

/// A text file in memory, its byte-order mark passed over.
class TextFile {
 public:
  /// Throws EnvironmentError (missing) or DataError (UTF-16, compressed).
  explicit TextFile(const std::filesystem::path& path);

  std::string_view text() const { return text_; }
  std::string where() const { return file_.path().string(); }

 private:
  MappedFile file_;
  std::string_view text_;
};

/// The line of `text` at `position`, which is moved behind it, without its line end (LF or CRLF).
std::string_view next_line(std::string_view text, size_t& position);

}  // namespace foregate
