#include "base/encoding/csv_parser.h"

#include <algorithm>

#include "base/row_limits.h"

namespace foregate {
namespace {

/// Bounds the memory that a row of nothing but separators takes.
constexpr size_t kMaxCells = 1 << 16;

bool is_line_end(char c) {
  return c == '\n' || c == '\r';
}

}  // namespace

bool CsvParser::next(CsvRow& row) {
  row.cells.clear();
  row.problem.clear();
  row.stray_quote = stray_quote_ = false;
  if (position_ >= text_.size()) return false;
  if (is_line_end(text_[position_])) {
    skip_line_end();
    row.problem = kBlankRow;
    return true;
  }
  const size_t start = position_;
  CellEnd end = CellEnd::kCell;
  bool too_many = false;
  while (end == CellEnd::kCell) {
    too_many |= row.cells.size() == kMaxCells;
    if (too_many) row.cells.clear();
    end = read_cell(row.cells.emplace_back());
  }
  if (end == CellEnd::kUnclosed) {
    position_ = std::min(text_.find_first_of("\r\n", start), text_.size());
    if (position_ < text_.size()) skip_line_end();
    row.problem = "quote not closed";
  }
  if (too_many) row.problem = "more cells than any table has";
  if (position_ - start > kMaxRowBytes) row.problem = kRowTooLong;
  if (!row.problem.empty()) row.cells.clear();
  row.stray_quote = stray_quote_;
  return true;
}

size_t CsvParser::behind_spaces(size_t position) const {
  if (!dialect_.spaces_around_quotes) return position;
  while (position < text_.size() && text_[position] == ' ') ++position;
  return position;
}

size_t CsvParser::opening_quote() const {
  const size_t quote = behind_spaces(position_);
  return quote < text_.size() && text_[quote] == '"' ? quote : std::string_view::npos;
}

CsvParser::CellEnd CsvParser::read_cell(std::string& cell) {
  const size_t quote = opening_quote();
  if (quote == std::string_view::npos) return read_plain(cell);
  position_ = quote;
  return read_quoted(cell);
}

bool CsvParser::is_escape() const {
  if (!dialect_.backslash_escapes || text_[position_] != '\\') return false;
  const char behind = position_ + 1 < text_.size() ? text_[position_ + 1] : '\n';
  return behind == '"' || behind == '\\' || behind == dialect_.separator;
}

CsvParser::CellEnd CsvParser::read_plain(std::string& cell) {
  size_t start = position_;
  const auto take = [&] {
    cell.append(text_.substr(start, std::min(position_ - start, kMaxRowBytes)));
  };
  while (position_ < text_.size() && text_[position_] != dialect_.separator &&
         !is_line_end(text_[position_])) {
    stray_quote_ |= text_[position_] == '"';
    if (is_escape()) {
      take();
      start = ++position_;
    }
    ++position_;
  }
  take();
  if (position_ >= text_.size()) return CellEnd::kRow;
  if (text_[position_] == dialect_.separator) {
    ++position_;
    return CellEnd::kCell;
  }
  skip_line_end();
  return CellEnd::kRow;
}

CsvParser::CellEnd CsvParser::read_quoted(std::string& cell) {
  const size_t open = position_++;
  bool several_lines = false;
  while (position_ < text_.size() && position_ - open <= kMaxRowBytes) {
    const char c = text_[position_];
    if (c == '"') {
      ++position_;
      const char behind = position_ < text_.size() ? text_[position_] : '\n';
      if (behind == '"') {
        cell.push_back('"');
        ++position_;
        continue;
      }
      const size_t end = behind_spaces(position_);
      const bool ends =
          end >= text_.size() || text_[end] == dialect_.separator || is_line_end(text_[end]);
      if (ends) position_ = end;
      if (several_lines && !ends) return give_up_quote();
      // On one line Python's reader is followed: what stands behind the quote belongs to the cell.
      stray_quote_ |= !ends;
      return read_plain(cell);
    }
    if (is_escape() && text_[position_ + 1] != dialect_.separator) {
      cell.push_back(text_[position_ + 1]);
      position_ += 2;
      continue;
    }
    if (is_line_end(c)) {
      if (open < single_line_until_) return CellEnd::kUnclosed;
      several_lines = true;
    }
    cell.push_back(c);
    ++position_;
  }
  return give_up_quote();
}

CsvParser::CellEnd CsvParser::give_up_quote() {
  const size_t last_line = text_.find_last_of("\r\n", std::min(position_, text_.size()) - 1);
  if (last_line != std::string_view::npos) {
    single_line_until_ = std::max(single_line_until_, last_line + 1);
  }
  return CellEnd::kUnclosed;
}

void CsvParser::skip_line_end() {
  const bool carriage_return = text_[position_++] == '\r';
  if (carriage_return && position_ < text_.size() && text_[position_] == '\n') ++position_;
}

}  // namespace foregate
