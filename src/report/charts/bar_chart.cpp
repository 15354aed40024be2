#include "report/charts/bar_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/charts/line_chart.h"

namespace foregate::report {
namespace {

constexpr double kBarHeight = 26;
constexpr double kBarsTop = 8;
constexpr double kPlotWidth = 460;
constexpr size_t kBarNameLength = 40;

std::string value_text(const Bar& bar, Unit unit) {
  return bar.text.empty() ? format_value(bar.value, unit) : bar.text;
}

std::string row(const Bar& bar, double left, double y, double scale, Unit unit) {
  const double value = std::isnan(bar.value) ? 0 : bar.value;
  const std::string text = value_text(bar, unit);
  std::string svg = svg_text(left - 8, y + 17, "end", shorten(bar.name, kBarNameLength), "key");
  svg += fmt::format(
      "<rect class=\"bar l0\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"16\" rx=\"2\">"
      "<title>{}: {}</title></rect>",
      left, y + 5, value * scale, escape(bar.name), escape(text));
  double end = left + value * scale;
  if (bar.low < bar.high) {
    const double low = left + bar.low * scale;
    const double high = left + bar.high * scale;
    svg += fmt::format(
        "<path class=\"whisker\" d=\"M{0:.1f} {2:.1f}H{1:.1f}M{0:.1f} {3:.1f}v8"
        "M{1:.1f} {3:.1f}v8\"/>",
        low, high, y + 13, y + 9);
    end = std::max(end, high);
  }
  return svg + svg_text(end + 8, y + 17, "start", text, "key");
}

}  // namespace

Chart draw(const BarChart& chart) {
  double largest = chart.largest;
  double name_width = 40;
  double text_room = 0;
  for (const Bar& bar : chart.bars) {
    if (chart.largest == 0 && !std::isnan(bar.value))
      largest = std::max({largest, bar.value, bar.high});
    name_width = std::max(name_width, text_width(shorten(bar.name, kBarNameLength)));
    text_room = std::max(text_room, text_width(value_text(bar, chart.unit)));
  }
  const std::vector<double> ticks = round_ticks(0, largest > 0 ? largest : 1);
  const double left = name_width + 16;
  const double scale = kPlotWidth / ticks.back();
  const double bottom = kBarsTop + kBarHeight * static_cast<double>(chart.bars.size());
  std::string body;
  for (const double tick : ticks) {
    body += fmt::format("<path class=\"grid\" d=\"M{:.1f} {}V{:.1f}\"/>", left + tick * scale,
                        kBarsTop, bottom);
    body += svg_text(left + tick * scale, bottom + 16, "middle",
                     tick_label(tick, ticks[1] - ticks[0], chart.unit), "tick");
  }
  for (size_t i = 0; i < chart.bars.size(); ++i) {
    body +=
        row(chart.bars[i], left, kBarsTop + kBarHeight * static_cast<double>(i), scale, chart.unit);
  }
  body += svg_text(left + kPlotWidth / 2, bottom + 36, "middle", chart.x_title);
  const int width = static_cast<int>(left + kPlotWidth + text_room + 16);
  return {chart.label, chart.description, width, static_cast<int>(bottom + 46), "", body};
}

}  // namespace foregate::report
