#include "text/datasets/text_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "text/datasets/decompress.h"

namespace foregate::text {

TextFile::TextFile(const std::filesystem::path& path) : path_(path) {
  file_.emplace(path);
  if (is_compressed(file_->text())) {
    const auto unpacked = decompress_to_temporary(path);
    file_.emplace(unpacked);
    // The mapping keeps the content until it is given up, however the program ends.
    std::filesystem::remove(unpacked);
  }
  text_ = file_->text();
  if (text_.starts_with("\xef\xbb\xbf")) {
    text_.remove_prefix(3);
  } else if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff")) {
    throw DataError(
        fmt::format("{}: the file is UTF-16; expected UTF-8; convert it first (iconv -f UTF-16 -t "
                    "UTF-8)",
                    where()));
  }
}

std::string_view next_line(std::string_view text, size_t& position) {
  const size_t end = std::min(text.find('\n', position), text.size());
  std::string_view line = text.substr(position, end - position);
  position = std::min(end + 1, text.size());
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace foregate::text
