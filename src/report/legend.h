#pragma once

#include <string>
#include <vector>

namespace foregate {

struct LegendEntry {
  std::string name;
  std::string css_class;  ///< Of the line: "l3 dashed"
  bool line = true;
  std::string point_class;  ///< Of the point: "l3"; empty: none
};

struct Legend {
  std::string svg;
  double bottom = 0;  ///< Where its last row ends
};

/// Entries from left to right, in as many rows as it takes.
Legend draw_legend(const std::vector<LegendEntry>& entries, double left, double right);

}  // namespace foregate
