#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "report/charts/number_format.h"

namespace foregate::report {

/// Text, a count, or a measured value; NaN is an empty cell.
using Cell = std::variant<std::string, int64_t, double>;

struct Column {
  std::string name;
  Unit unit = Unit::kNumber;  ///< How values are shown on the page; files hold them unformatted.
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;

  /// <table>; rows that would take it beyond `max_cells` are left out and counted in a last line.
  std::string to_html(size_t max_cells = 2000) const;
};

/// A column of numbers.
std::vector<double> numbers_of(const Table& table, size_t index);

}  // namespace foregate::report
