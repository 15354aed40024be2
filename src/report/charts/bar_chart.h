#pragma once

#include <string>
#include <vector>

#include "report/charts/number_format.h"
#include "report/charts/svg.h"

namespace foregate::report {

struct Bar {
  std::string name;
  double value = 0;
  double low = 0;  ///< An interval is drawn if low < high.
  double high = 0;
  std::string text;  ///< Written behind the bar; the formatted value if empty.
};

struct BarChart {
  std::string label;
  std::string description;
  std::string x_title;
  std::vector<Bar> bars;
  Unit unit = Unit::kPercent;
  double largest = 0;  ///< End of the axis; 0: from the values.
};

/// Horizontal bars from 0, named at the left, with intervals as whiskers.
Chart draw(const BarChart& chart);

}  // namespace foregate::report
