#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace foregate {

struct CsvRow {
  std::vector<std::string> cells;
  std::string problem;  ///< why the row cannot be used; empty if it can
};

/// Comma- or tab-separated values as RFC 4180 and Python's csv module read them: quotes around a
/// cell, doubled inside it, line ends within quotes kept; LF, CRLF and CR end rows.
///
/// A quote that is opened and never closed would swallow the rows behind it, up to the end of the
/// file. It is recognised by the end of the file, by the cell's size, or by a closing quote on a
/// later line with something other than a separator behind it; then only the line it stands on is
/// given up, as one row with a problem.
class CsvParser {
 public:
  CsvParser(std::string_view text, char separator);

  /// The next row; false at the end.
  bool next(CsvRow& row);

  /// Bytes read so far.
  size_t position() const { return position_; }

 private:
  enum class CellEnd { kCell, kRow, kUnclosed };

  CellEnd read_cell(std::string& cell);
  CellEnd read_quoted(std::string& cell);
  CellEnd read_plain(std::string& cell);
  /// Moves behind the line end at position_.
  void skip_line_end();
  CellEnd give_up_quote();

  std::string_view text_;
  char separator_;
  size_t position_ = 0;
  /// Up to here quotes must close on their own line: a search for a closing quote has come this far
  /// in vain. Keeps files full of stray quotes from being searched again from each of them.
  size_t single_line_until_ = 0;
};

}  // namespace foregate
