#include "trace/import/json_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::trace {

JsonLines::JsonLines(const fs::path& path) : file_(path) {
  if (file_.text().find_first_not_of(" \t\r\n") == std::string_view::npos) {
    throw DataError(
        fmt::format("{}: the file is empty; expected a JSON object a line", path.string()));
  }
}

bool JsonLines::next(Json& json) {
  const std::string_view text = file_.text();
  while (position_ < text.size()) {
    const size_t end = std::min(text.find('\n', position_), text.size());
    const std::string_view line = text.substr(position_, end - position_);
    position_ = std::min(end + 1, text.size());
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    json = parse_json(line, where());
    return true;
  }
  return false;
}

void JsonLines::rewind() {
  position_ = 0;
  line_ = 0;
}

std::string JsonLines::where() const {
  return fmt::format("{}, line {}", file_.path().string(), line_);
}

}  // namespace foregate::trace
