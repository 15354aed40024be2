#include "report/charts/xy_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "report/charts/legend.h"
#include "report/charts/line_chart.h"

namespace foregate::report {
namespace {

constexpr double kXyLeft = 64;
constexpr double kXyRight = 840;
constexpr double kZero = kXyLeft + 22;  // Where x = 0 stands on a logarithmic axis.
constexpr double kBreak = kXyLeft + 48;
constexpr double kXyPlotHeight = 280;
constexpr int kXyWidth = 860;
constexpr size_t kXyColors = 8;
constexpr std::array<std::string_view, 5> kThousands = {"", "k", "M", "G", "T"};

/// 10^power as people say it: 100, 1k, 10M; below one as it is.
std::string power_label(int power) {
  const auto group = static_cast<size_t>(std::max(0, power) / 3);
  if (power < 0 || group >= kThousands.size()) return fmt::format("1e{}", power);
  return fmt::format("{}{}", std::pow(10, power % 3), kThousands[group]);
}

/// Maps values to pixels.
struct XyFrame {
  bool log_x = false;
  bool has_zero = false;
  double low = 0;  // of x: shares, or powers of ten
  double high = 1;
  double top = 0;
  std::vector<double> ticks;  // of y

  double x(double value) const {
    if (log_x && value <= 0) return kZero;
    const double left = has_zero ? kBreak : kXyLeft + 8;
    const double place = log_x ? std::log10(value) : value;
    return left + (kXyRight - 8 - left) * (place - low) / (high - low);
  }
  double y(double value) const {
    const double share = (value - ticks.front()) / (ticks.back() - ticks.front());
    return top + kXyPlotHeight * (1 - share);
  }
};

XyFrame frame_of(const XyChart& chart) {
  XyFrame frame;
  frame.ticks = round_ticks(chart.y_low, chart.y_high);
  frame.log_x = chart.log_x;
  if (!chart.log_x) return frame;
  frame.low = std::numeric_limits<double>::infinity();
  frame.high = -frame.low;
  for (const XySeries& series : chart.series) {
    for (const XyPoint& point : series.points) {
      if (point.x <= 0) {
        frame.has_zero = true;
        continue;
      }
      frame.low = std::min(frame.low, std::floor(std::log10(point.x) + 1e-9));
      frame.high = std::max(frame.high, std::ceil(std::log10(point.x) - 1e-9));
    }
  }
  if (!(frame.low <= frame.high)) frame.low = frame.high = 0;
  if (frame.low == frame.high) frame.high += 1;
  return frame;
}

std::string x_tick(const XyFrame& frame, double value, std::string_view label) {
  const double bottom = frame.top + kXyPlotHeight;
  return fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>", frame.x(value),
                     frame.top, bottom) +
         svg_text(frame.x(value), bottom + 17, "middle", label, "tick");
}

std::string axes(const XyChart& chart, const XyFrame& frame) {
  std::string svg;
  const double step = frame.ticks[1] - frame.ticks[0];
  for (const double tick : frame.ticks) {
    svg +=
        fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>", kXyLeft, frame.y(tick), kXyRight);
    svg += svg_text(kXyLeft - 8, frame.y(tick) + 4, "end", tick_label(tick, step, Unit::kPercent),
                    "tick");
  }
  if (frame.log_x) {
    const int low = static_cast<int>(frame.low);
    const int high = static_cast<int>(frame.high);
    if (frame.has_zero) svg += x_tick(frame, 0, "0");
    for (int power = low; power <= high; ++power)
      svg += x_tick(frame, std::pow(10, power), power_label(power));
  } else {
    for (const double tick : round_ticks(0, 1))
      svg += x_tick(frame, tick, tick_label(tick, 0.2, Unit::kPercent));
  }
  const double bottom = frame.top + kXyPlotHeight;
  svg += fmt::format("<path class=\"axis\" d=\"M{} {:.1f}H{}\"/>", kXyLeft, bottom, kXyRight);
  svg += svg_text((kXyLeft + kXyRight) / 2, bottom + 36, "middle", chart.x_title);
  return svg + fmt::format("<g transform=\"translate(14 {:.1f}) rotate(-90)\">{}</g>",
                           frame.top + kXyPlotHeight / 2, svg_text(0, 0, "middle", chart.y_title));
}

std::string line_class(size_t index, const XySeries& series) {
  return fmt::format("l{}{}", index % kXyColors, series.dashed ? " dashed" : "");
}

Legend legend_of(const XyChart& chart) {
  std::vector<LegendEntry> entries;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const XySeries& series = chart.series[i];
    entries.push_back({series.name, line_class(i, series), series.line,
                       series.dashed ? "" : fmt::format("l{}", i % kXyColors)});
  }
  return draw_legend(entries, kXyLeft, kXyRight);
}

std::string draw_series(const XySeries& series, size_t index, const XyFrame& frame) {
  std::string path;
  std::string circles;
  for (const XyPoint& point : series.points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', frame.x(point.x),
                        frame.y(point.y));
    if (series.dashed) continue;
    circles +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}</title></circle>\n",
                    frame.x(point.x), frame.y(point.y), series.line ? 3 : 5, escape(point.text));
  }
  if (!circles.empty()) circles = point_group(series.name, index % kXyColors, circles);
  if (!series.line || path.empty()) return circles;
  return fmt::format("<path class=\"series {}\" d=\"{}\"/>\n", line_class(index, series), path) +
         circles;
}

}  // namespace

Chart draw(const XyChart& chart) {
  XyFrame frame = frame_of(chart);
  Legend legend = legend_of(chart);
  std::string body = std::move(legend.svg);
  frame.top = legend.bottom + 6;
  body += axes(chart, frame);
  for (size_t i = 0; i < chart.series.size(); ++i) body += draw_series(chart.series[i], i, frame);
  const int height = static_cast<int>(frame.top + kXyPlotHeight + 46);
  return {chart.label, chart.description, kXyWidth, height, "", body};
}

}  // namespace foregate::report
