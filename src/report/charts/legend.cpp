#include "report/charts/legend.h"

#include <fmt/format.h>

#include "report/charts/number_format.h"
#include "report/charts/svg.h"

namespace foregate::report {
namespace {

constexpr double kRowHeight = 20;
constexpr size_t kNameLength = 36;

}  // namespace

std::string point_group(const std::string& name, size_t color, const std::string& points) {
  return fmt::format("<g class=\"l{}\" data-series=\"{}\">\n{}</g>\n", color, escape(name), points);
}

Legend draw_legend(const std::vector<LegendEntry>& entries, double left, double right) {
  Legend legend;
  double x = left;
  double y = 16;
  for (const LegendEntry& entry : entries) {
    const std::string name = shorten(entry.name, kNameLength);
    const double width = 34 + text_width(name) + 14;
    if (x > left && x + width > right) {
      x = left;
      y += kRowHeight;
    }
    if (entry.line) {
      legend.svg += fmt::format("<path class=\"series {}\" d=\"M{:.5g} {:.5g}h24\"/>",
                                entry.css_class, x, y - 4);
    }
    if (!entry.point_class.empty()) {
      legend.svg += fmt::format("<circle class=\"{}\" cx=\"{:.5g}\" cy=\"{:.5g}\" r=\"4\"/>",
                                entry.point_class, x + 12, y - 4);
    }
    legend.svg += svg_text(x + 30, y, "start", name, "key");
    x += width;
  }
  legend.bottom = y + 14;
  return legend;
}

}  // namespace foregate::report
