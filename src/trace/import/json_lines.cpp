#include "trace/import/json_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_dialect.h"

namespace foregate::trace {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

size_t bytes_of_file(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;  // Said when the file is opened.
}

/// A line of a stream of server-sent events as JSON; nothing of those that carry none.
std::string_view without_event_field(std::string_view line) {
  constexpr std::string_view kData = "data:";
  if (line.starts_with("event:") || line.starts_with(':')) return {};
  if (!line.starts_with(kData)) return line;
  line.remove_prefix(kData.size());
  return line.find("[DONE]") == std::string_view::npos || line.size() > 16 ? line
                                                                           : std::string_view();
}

Json parse_line(std::string_view text, const std::string& where) {
  try {
    return parse_json(text, where);
  } catch (const DataError&) {
    const std::string again = null_for_nonfinite(text);
    if (again == text) throw;
    return parse_json(again, where);
  }
}

}  // namespace

JsonLines::JsonLines(std::vector<fs::path> paths, bool skip_broken)
    : paths_(std::move(paths)), skip_broken_(skip_broken) {
  for (const fs::path& path : paths_) size_ += bytes_of_file(path);
  rewind();
  if (paths_.size() == 1 && text_.find_first_not_of(kBlank) == std::string_view::npos) {
    throw DataError(fmt::format("{}: the file is empty; expected a JSON object a line",
                                paths_.front().string()));
  }
}

bool JsonLines::open(size_t index) {
  if (index == paths_.size()) return false;
  if (file_ == nullptr || index != index_) file_ = std::make_unique<TextFile>(paths_[index]);
  index_ = index;
  text_ = file_->text();
  position_ = 0;
  line_ = 0;
  read_whole();
  return true;
}

void JsonLines::read_whole() {
  whole_.clear();
  element_ = 0;
  is_whole_ = false;
  const size_t begin = text_.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return;
  const std::string_view rest = text_.substr(begin);
  const std::string_view first = rest.substr(0, rest.find('\n'));
  const bool list = rest.front() == '[';
  // A document that goes on behind its first line, or a list of documents.
  if (!list && (rest.front() != '{' || Json::accept(first))) return;
  if (rest.substr(first.size()).find_first_not_of(kBlank) == std::string_view::npos && !list)
    return;
  Json all;
  try {
    all = parse_line(rest, paths_[index_].string());
  } catch (const DataError&) {
    return;  // Lines, then; what is wrong with them is said there.
  }
  is_whole_ = true;
  if (all.is_array()) {
    whole_.assign(all.begin(), all.end());
  } else {
    whole_.push_back(std::move(all));
  }
}

bool JsonLines::next(Json& json) {
  while (true) {
    if (is_whole_ && element_ < whole_.size()) {
      json = whole_[element_++];
      return true;
    }
    if (!is_whole_ && next_line(json)) return true;
    const size_t done = bytes_of_file(paths_[index_]);
    if (!open(index_ + 1)) return false;
    before_ += done;
  }
}

bool JsonLines::next_line(Json& json) {
  while (position_ < text_.size()) {
    const std::string_view line = without_event_field(foregate::next_line(text_, position_));
    ++line_;
    if (line.find_first_not_of(kBlank) == std::string_view::npos) continue;
    try {
      json = parse_line(line, where());
      return true;
    } catch (const DataError& error) {
      const bool at_end = position_ == text_.size() && index_ + 1 == paths_.size();
      const bool cut_off = at_end && !text_.ends_with('\n');
      if (!skip_broken_) {
        throw DataError(
            fmt::format("{}{}; --allow-missing leaves out such lines", error.what(),
                        cut_off ? "; it is the last line: whoever wrote it was stopped" : ""));
      }
      if (broken_++ == 0) first_problem_ = error.what();
    }
  }
  return false;
}

void JsonLines::rewind() {
  before_ = 0;
  broken_ = 0;
  first_problem_.clear();
  open(0);
}

size_t JsonLines::position() const {
  if (text_.empty()) return before_;
  const double part = static_cast<double>(position_) / static_cast<double>(text_.size());
  return before_ + static_cast<size_t>(part * static_cast<double>(bytes_of_file(paths_[index_])));
}

std::string JsonLines::where() const {
  const std::string path = paths_[index_].string();
  if (!is_whole_) return fmt::format("{}, line {}", path, line_);
  return whole_.size() == 1 ? path : fmt::format("{}, element {}", path, element_);
}

}  // namespace foregate::trace
