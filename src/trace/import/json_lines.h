#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/files.h"
#include "base/json.h"

namespace foregate::trace {

/// A JSON document a line, blank lines left out; the file is mapped, one line is parsed at a time.
class JsonLines {
 public:
  /// Throws EnvironmentError if the file is missing, DataError if it is empty.
  explicit JsonLines(const std::filesystem::path& path);

  /// False at the end. Throws DataError naming file and line.
  bool next(Json& json);
  void rewind();
  /// "<file>, line 12": the document that next() gave last.
  std::string where() const;
  size_t position() const { return position_; }
  size_t size() const { return file_.text().size(); }

 private:
  MappedFile file_;
  size_t position_ = 0;
  int64_t line_ = 0;
};

}  // namespace foregate::trace
