#pragma once

#include <string>
#include <vector>

#include "report/charts/number_format.h"
#include "report/charts/svg.h"

namespace foregate::report {

struct XyPoint {
  double x = 0;
  double y = 0;
  std::string text;  ///< On hover, after the series' name
};

struct XySeries {
  std::string name;
  std::vector<XyPoint> points;
  bool line = false;    ///< Points joined in their order
  bool dashed = false;  ///< For yardsticks: a line without points
};

/// Points by two measured values.
struct XyChart {
  std::string label;
  std::string description;
  std::string x_title;
  std::string y_title;
  std::vector<XySeries> series;
  bool log_x = false;  ///< Powers of ten; an x of 0 stands left of a break
  double y_low = 0;    ///< Range of y, percent; widened to round numbers
  double y_high = 1;
};

/// x is a share from 0 to 1 as y is, or, with log_x, any number from 0 on. A legend above names the
/// series; values on hover.
Chart draw(const XyChart& chart);

}  // namespace foregate::report
