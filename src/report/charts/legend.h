#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace foregate::report {

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

/// The points of a series, named and coloured once for all: the page's script puts the name in
/// front of a point's value.
std::string point_group(const std::string& name, size_t color, const std::string& points);

/// Entries from left to right, in as many rows as it takes.
Legend draw_legend(const std::vector<LegendEntry>& entries, double left, double right);

}  // namespace foregate::report
