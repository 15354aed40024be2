#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/datasets/columns.h"

namespace foregate::text {

/// How a document holds its records.
struct JsonLayout {
  enum class Kind {
    kLines,    ///< a value a line
    kValues,   ///< values one behind the other, over any number of lines
    kArray,    ///< the elements of an array
    kObject,   ///< the values of an object's members
    kColumns,  ///< an array, or an object by row labels, a column
  };
  Kind kind = Kind::kLines;
  size_t position = 0;  ///< where the values begin: behind the '[' or '{'; kColumns: not used
  /// Of records that are arrays, and their cells' names; numbers if none are given.
  bool cells = false;
  std::vector<std::string> names{};
  bool first_is_header = false;  ///< the first record held the names
  std::vector<std::pair<std::string, size_t>>
      columns{};       ///< kColumns: names, where their values begin
  std::string list{};  ///< the key of the array chosen in an object; empty if there is none
};

/// Finds how `text` is written. Of documents: an array of objects, of strings or of arrays of
/// cells; an object that holds one such array; every orientation of pandas (records, split, tight,
/// index, columns, values, table, a series), a list a column, and polars' columns. Values a line or
/// one behind the other where there are several. `lines_expected`: by its name the file has a
/// record a line, so that a single object is a record unless it can be nothing but an orientation.
/// Throws DataError, saying what was seen, for an object that may be meant in several ways or in
/// none.
JsonLayout detect_json_layout(std::string_view text, bool lines_expected,
                              const ColumnRequest& request);

}  // namespace foregate::text
