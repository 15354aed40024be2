#pragma once

#include <string>
#include <vector>

#include "report/charts/color_scale.h"
#include "report/charts/number_format.h"
#include "report/charts/svg.h"

namespace foregate::report {

struct HeatMap {
  std::string label;
  std::string description;
  std::string row_title;  ///< "layer"
  std::string column_title;
  std::string value_title;  ///< What a cell's value is, for the legend and on hover
  std::vector<std::string> row_labels;
  std::vector<std::string> column_labels;
  std::vector<double> values;  ///< [rows][columns]; NaN is a hole.
  ColorScale scale;
  Unit unit = Unit::kPercent;
  /// [columns] or empty: on hover also the value divided by its column's base, as "lift".
  std::vector<double> column_base;
  std::string hole = "never used";  ///< What a hole means, on hover
  bool square = false;              ///< Cells as high as wide
  bool numbers = false;             ///< Values written into the cells, if columns are few
  bool titles = true;               ///< <title>s in the cells; only up to 600 cells in any case
};

/// Cells coloured by class, with a legend below. With titles each cell is a <rect> with its value;
/// without, a row's cells of equal colour are one stroke, which takes a tenth of the bytes. Either
/// way the values (12 bits each, two characters of base64url) travel in data attributes for the
/// page's script.
Chart draw(const HeatMap& map);

}  // namespace foregate::report
