#include "base/csv_parser.h"

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

CsvParser::CsvParser(std::string_view text, char separator) : text_(text), separator_(separator) {}

bool CsvParser::next(CsvRow& row) {
  row.cells.clear();
  row.problem.clear();
  if (position_ >= text_.size()) return false;
  if (is_line_end(text_[position_])) {
    skip_line_end();
    row.problem = "blank row";
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
  return true;
}

CsvParser::CellEnd CsvParser::read_cell(std::string& cell) {
  if (position_ < text_.size() && text_[position_] == '"') return read_quoted(cell);
  return read_plain(cell);
}

CsvParser::CellEnd CsvParser::read_plain(std::string& cell) {
  const size_t start = position_;
  while (position_ < text_.size() && text_[position_] != separator_ &&
         !is_line_end(text_[position_])) {
    ++position_;
  }
  cell.append(text_.substr(start, std::min(position_ - start, kMaxRowBytes)));
  if (position_ >= text_.size()) return CellEnd::kRow;
  if (text_[position_] == separator_) {
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
      if (several_lines && behind != separator_ && !is_line_end(behind)) return give_up_quote();
      // On one line Python's reader is followed: what stands behind the quote belongs to the cell.
      return read_plain(cell);
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
