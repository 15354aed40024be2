#pragma once

#include <string>
#include <vector>

#include "report/charts/number_format.h"
#include "report/charts/svg.h"
#include "report/page/table.h"

namespace foregate::report {

struct Series {
  std::string name;
  std::vector<double> values;  ///< One for each x label; NaN leaves a gap.
  bool dashed = false;         ///< For yardsticks such as chance.
};

struct LineChart {
  std::string label;
  std::string description;
  std::string x_title;
  std::string y_title;
  std::vector<std::string> x_labels;
  std::vector<Series> series;
  Unit unit = Unit::kPercent;
  bool from_zero = true;  ///< The y axis starts at 0, not at the smallest value.
};

/// Lines with points, a legend above and values on hover.
Chart draw(const LineChart& chart);

/// The numbers of the lines: a row an x label, a column a series.
Table series_table(const LineChart& chart);

/// About five round numbers from `low` to `high` inclusive of both sides; `low` < `high`.
std::vector<double> round_ticks(double low, double high);
/// A tick's label with no more decimals than the steps need.
std::string tick_label(double value, double step, Unit unit);

}  // namespace foregate::report
