#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace foregate {

/// How a file separates and quotes cells.
struct CsvDialect {
  char separator = ',';
  /// Spaces between a separator and a cell's quotes are no part of the cell: `1, "a, b" ,2`.
  bool spaces_around_quotes = false;
  /// \" is a quote, \\ a backslash and \, no separator, as Spark, MySQL and Python's escapechar
  /// write them, besides "" within quotes.
  bool backslash_escapes = false;

  bool operator==(const CsvDialect&) const = default;
};

struct CsvRow {
  std::vector<std::string> cells;
  std::string problem;       ///< why the row cannot be used; empty if it can
  bool stray_quote = false;  ///< a quote stands where the dialect has none: inside an unquoted
                             ///< cell, or with more of the cell behind a closing one
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
  CsvParser(std::string_view text, const CsvDialect& dialect) : text_(text), dialect_(dialect) {}
  CsvParser(std::string_view text, char separator) : CsvParser(text, CsvDialect{separator}) {}

  /// The next row; false at the end.
  bool next(CsvRow& row);

  /// Bytes read so far.
  size_t position() const { return position_; }

 private:
  enum class CellEnd { kCell, kRow, kUnclosed };

  /// The position behind the spaces there, if they are passed over around quotes.
  size_t behind_spaces(size_t position) const;
  /// Where the quote stands that opens the cell at position_; npos if the cell is not quoted.
  size_t opening_quote() const;
  CellEnd read_cell(std::string& cell);
  CellEnd read_quoted(std::string& cell);
  CellEnd read_plain(std::string& cell);
  /// Whether a backslash escapes what stands behind it.
  bool is_escape() const;
  /// Moves behind the line end at position_.
  void skip_line_end();
  CellEnd give_up_quote();

  std::string_view text_;
  CsvDialect dialect_;
  bool stray_quote_ = false;  ///< of the row that is being read
  size_t position_ = 0;
  /// Up to here quotes must close on their own line: a search for a closing quote has come this far
  /// in vain. Keeps files full of stray quotes from being searched again from each of them.
  size_t single_line_until_ = 0;
};

}  // namespace foregate
