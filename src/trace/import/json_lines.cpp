#include "trace/import/json_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::trace {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// The text with NaN and Infinity outside of strings replaced by null; empty if there are none.
std::string with_nulls(std::string_view text) {
  constexpr std::array<std::string_view, 3> kWords = {"NaN", "-Infinity", "Infinity"};
  std::string result;
  bool found = false;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_string = !in_string;
    const auto* const word = std::find_if(kWords.begin(), kWords.end(), [&](std::string_view w) {
      return !in_string && text.substr(i).starts_with(w);
    });
    if (word != kWords.end()) {
      result += "null";
      i += word->size() - 1;
      found = true;
      continue;
    }
    result += text[i];
    if (in_string && text[i] == '\\' && i + 1 < text.size()) result += text[++i];
  }
  return found ? result : "";
}

Json parse_line(std::string_view text, const std::string& where) {
  try {
    return parse_json(text, where);
  } catch (const DataError&) {
    const std::string again = with_nulls(text);
    if (again.empty()) throw;
    return parse_json(again, where);
  }
}

}  // namespace

JsonLines::JsonLines(std::vector<fs::path> paths, bool skip_broken)
    : paths_(std::move(paths)), skip_broken_(skip_broken) {
  bool any = false;
  for (const fs::path& path : paths_) {
    const MappedFile file(path);
    size_ += file.text().size();
    any = any || file.text().find_first_not_of(kBlank) != std::string_view::npos;
  }
  if (!any) {
    throw DataError(fmt::format("{}: the file is empty; expected a JSON object a line",
                                paths_.front().string()));
  }
  rewind();
}

bool JsonLines::open(size_t index) {
  if (index == paths_.size()) return false;
  index_ = index;
  file_ = std::make_unique<MappedFile>(paths_[index]);
  text_ = file_->text();
  if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
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
    const size_t done = file_->text().size();
    if (!open(index_ + 1)) return false;
    before_ += done;
  }
}

bool JsonLines::next_line(Json& json) {
  while (position_ < text_.size()) {
    const size_t end = std::min(text_.find('\n', position_), text_.size());
    const std::string_view line = text_.substr(position_, end - position_);
    position_ = std::min(end + 1, text_.size());
    ++line_;
    if (line.find_first_not_of(kBlank) == std::string_view::npos) continue;
    try {
      json = parse_line(line, where());
      return true;
    } catch (const DataError& error) {
      const bool cut_off = end == text_.size() && index_ + 1 == paths_.size();
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

std::string JsonLines::where() const {
  const std::string path = paths_[index_].string();
  if (!is_whole_) return fmt::format("{}, line {}", path, line_);
  return whole_.size() == 1 ? path : fmt::format("{}, element {}", path, element_);
}

}  // namespace foregate::trace
