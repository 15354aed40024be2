#pragma once

#include <string>
#include <vector>

#include "text/datasets/columns.h"

namespace foregate::text {

/// What the first rows of a CSV or TSV file tell about it.
struct CsvLayout {
  bool has_header = false;
  size_t rows_above = 0;  ///< usable rows in front of the header: a title, notes
  /// The header's last name and the first row stand on one line, a line end having been lost; what
  /// is left of that row cannot be told from the header.
  bool header_runs_into_row = false;
  size_t num_columns = 0;       ///< a row with another number is broken
  std::vector<Column> columns;  ///< names empty without a header
};

/// Whether a row holds the name of a column: a usual one, or one that COLUMN asks for.
bool names_a_column(const std::vector<std::string>& cells, const std::string& column);

/// Whether a row has that many cells; more if they are empty: separators at a row's end, as
/// spreadsheets leave them, add no column.
bool fits_columns(const std::vector<std::string>& cells, size_t columns);

/// `rows`: the first usable rows of the file, at least one. `column`: --data's COLUMN, which is a
/// name in the header if the first row holds it.
CsvLayout detect_csv_layout(const std::vector<std::vector<std::string>>& rows,
                            const std::string& column);

}  // namespace foregate::text
