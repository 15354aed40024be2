#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/text_file.h"

namespace foregate::trace {

/// JSON documents of one file after the other: a document a line, blank lines left out, or a file
/// that is one document as a whole (a list gives its elements). Compressed files are
/// unpacked (base/unpack.h); one line is parsed at a time. NaN and Infinity, which Python writes
/// and JSON does not know, are read as null.
class JsonLines {
 public:
  /// With `skip_broken` a line that is not JSON is left out and counted. Throws EnvironmentError if
  /// a file is missing, DataError if all of them are empty.
  explicit JsonLines(const std::filesystem::path& path, bool skip_broken = false)
      : JsonLines(std::vector{path}, skip_broken) {}
  JsonLines(std::vector<std::filesystem::path> paths, bool skip_broken);

  /// False at the end. Throws DataError naming file and line.
  bool next(Json& json);
  void rewind();
  /// "<file>, line 12": the document that next() gave last.
  std::string where() const;
  /// Bytes of the files, as they lie on the disk.
  size_t position() const;
  size_t size() const { return size_; }
  /// Lines left out in this reading, and what was wrong with the first.
  int64_t broken() const { return broken_; }
  const std::string& first_problem() const { return first_problem_; }

 private:
  /// Opens the file `index`; false if there is none.
  bool open(size_t index);
  /// Takes the open file as one document if it is one.
  void read_whole();
  bool next_line(Json& json);

  std::vector<std::filesystem::path> paths_;
  bool skip_broken_;
  size_t size_ = 0;
  size_t index_ = 0;
  size_t before_ = 0;  ///< bytes of the files before the open one
  std::unique_ptr<TextFile> file_;
  std::string_view text_;
  size_t position_ = 0;
  int64_t line_ = 0;
  std::vector<Json> whole_;  ///< elements of a file that is one document
  size_t element_ = 0;
  bool is_whole_ = false;
  int64_t broken_ = 0;
  std::string first_problem_;
};

}  // namespace foregate::trace
