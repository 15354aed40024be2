#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/encoding/csv_parser.h"
#include "text/datasets/columns.h"

namespace foregate::text {

/// How a table is written, as its first rows tell.
struct CsvGuess {
  CsvDialect dialect;
  size_t start = 0;  ///< where the rows begin: behind a line "sep=;", which Excel writes and reads
};

/// The dialect of `text`. `usual` is the separator that the file's name promises; another one of
/// , ; | and tab is taken where that one does not explain the rows and the other does: the same
/// number of cells in nearly all, at least two, the header among them. Throws DataError if neither
/// is so: the rows are one cell each, yet all hold another separator.
CsvGuess detect_csv_dialect(std::string_view text, char usual, const ColumnRequest& request);

/// "','", "tabs".
std::string separator_name(char separator);

}  // namespace foregate::text
