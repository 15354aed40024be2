#pragma once

#include <string>
#include <vector>

#include "text/datasets/columns.h"

namespace foregate::text {

/// What the first rows of a CSV or TSV file tell about it.
struct CsvLayout {
  bool has_header = false;
  /// The header's last name and the first row stand on one line, a line end having been lost; what
  /// is left of that row cannot be told from the header.
  bool header_runs_into_row = false;
  size_t num_columns = 0;       ///< a row with another number is broken
  std::vector<Column> columns;  ///< names empty without a header
};

/// `rows`: the first usable rows of the file, at least one. `column`: --data's COLUMN, which is a
/// name in the header if the first row holds it.
CsvLayout detect_csv_layout(const std::vector<std::vector<std::string>>& rows,
                            const std::string& column);

}  // namespace foregate::text
