#include "report/charts/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "report/charts/legend.h"

namespace foregate::report {
namespace {

constexpr double kLeft = 64;
constexpr double kRight = 840;
constexpr double kPlotHeight = 240;
constexpr int kWidth = 860;
constexpr size_t kColors = 8;
constexpr size_t kDense = 40;  // Columns from which on points are drawn small.

std::string line_class(size_t index, const Series& series) {
  const bool dashed = series.dashed || index >= kColors;
  return fmt::format("l{}{}", index % kColors, dashed ? " dashed" : "");
}

Legend legend_of(const LineChart& chart) {
  std::vector<LegendEntry> entries;
  for (size_t i = 0; i < chart.series.size(); ++i)
    entries.push_back({chart.series[i].name, line_class(i, chart.series[i]), true, ""});
  return draw_legend(entries, kLeft, kRight);
}

/// Maps values to pixels.
struct Frame {
  double top = 0;
  std::vector<double> ticks;
  size_t columns = 0;

  double x(size_t column) const {
    if (columns < 2) return (kLeft + kRight) / 2;
    return kLeft + 8 +
           (kRight - kLeft - 16) * static_cast<double>(column) / static_cast<double>(columns - 1);
  }
  double y(double value) const {
    const double share = (value - ticks.front()) / (ticks.back() - ticks.front());
    return top + kPlotHeight * (1 - share);
  }
};

std::vector<double> value_ticks(const LineChart& chart) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Series& series : chart.series) {
    for (const double value : series.values) {
      if (std::isnan(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (!(low <= high)) return {0, 1};
  if (chart.from_zero) low = std::min(low, 0.0);
  if (high - low < 1e-9) {
    if (chart.from_zero) high = low + (low == 0 ? 1 : 1e-3);
    low -= chart.from_zero ? 0 : 0.05;
    high += chart.from_zero ? 0 : 0.05;
  }
  return round_ticks(low, high);
}

std::string axes(const LineChart& chart, const Frame& frame) {
  std::string svg;
  const double step = frame.ticks[1] - frame.ticks[0];
  for (const double tick : frame.ticks) {
    const double y = frame.y(tick);
    svg += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>", kLeft, y, kRight);
    svg += svg_text(kLeft - 8, y + 4, "end", tick_label(tick, step, chart.unit), "tick");
  }
  const double bottom = frame.top + kPlotHeight;
  size_t widest = 1;
  for (const std::string& label : chart.x_labels) widest = std::max(widest, label.size());
  const double room = std::max(20.0, 8.0 + 6.5 * static_cast<double>(widest));
  const auto fits = std::max<size_t>(1, static_cast<size_t>((kRight - kLeft) / room));
  const size_t every = (frame.columns + fits - 1) / fits;
  for (size_t i = 0; i < frame.columns; i += every) {
    // A long name at the right end would leave the picture.
    const bool fits_right = frame.x(i) + text_width(chart.x_labels[i]) / 2 < kWidth;
    svg += svg_text(fits_right ? frame.x(i) : kRight, bottom + 17, fits_right ? "middle" : "end",
                    chart.x_labels[i], "tick");
  }
  svg += fmt::format("<path class=\"axis\" d=\"M{} {:.1f}H{}\"/>", kLeft, bottom, kRight);
  svg += svg_text((kLeft + kRight) / 2, bottom + 36, "middle", chart.x_title);
  svg += fmt::format("<g transform=\"translate(14 {:.1f}) rotate(-90)\">{}</g>",
                     frame.top + kPlotHeight / 2, svg_text(0, 0, "middle", chart.y_title));
  return svg;
}

std::string line(const LineChart& chart, size_t index, const Frame& frame) {
  const Series& series = chart.series[index];
  std::string path;
  std::string points;
  bool drawing = false;
  for (size_t i = 0; i < frame.columns; ++i) {
    const double value = series.values[i];
    if (std::isnan(value)) {
      drawing = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", drawing ? 'L' : 'M', frame.x(i), frame.y(value));
    drawing = true;
    points += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{} {}: {}</title></circle>\n",
        frame.x(i), frame.y(value),
        frame.columns > kDense ? 1.5
        : series.dashed        ? 2
                               : 3,
        escape(chart.x_title), escape(chart.x_labels[i]), format_value(value, chart.unit));
  }
  if (path.empty()) return {};
  return fmt::format("<path class=\"series {}\" d=\"{}\"/>\n", line_class(index, series), path) +
         point_group(series.name, index % kColors, points);
}

}  // namespace

std::vector<double> round_ticks(double low, double high) {
  const double rough = (high - low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double nice : {1.0, 2.0, 2.5, 5.0}) {
    if (nice * power >= rough * 0.999) {
      step = nice * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9);
  for (double i = first; i <= 40 + first; ++i) {
    ticks.push_back(i * step);
    if (ticks.back() >= high - 1e-9 * step && ticks.size() > 1) break;
  }
  return ticks;
}

std::string tick_label(double value, double step, Unit unit) {
  const double scale = unit == Unit::kPercent ? 100 : 1;
  int decimals = 0;
  double scaled = step * scale;
  while (decimals < 6 && std::abs(scaled - std::round(scaled)) > 1e-6) {
    scaled *= 10;
    ++decimals;
  }
  const std::string_view suffix = unit == Unit::kPercent ? "%" : unit == Unit::kRatio ? "×" : "";
  return fmt::format("{:.{}f}{}", value * scale + 0.0, decimals, suffix);
}

Table series_table(const LineChart& chart) {
  Table table{{{chart.x_title}}, {}};
  for (const std::string& label : chart.x_labels) table.rows.push_back({label});
  for (const Series& series : chart.series) {
    table.columns.push_back({series.name, chart.unit});
    for (size_t i = 0; i < table.rows.size(); ++i) table.rows[i].emplace_back(series.values[i]);
  }
  return table;
}

Chart draw(const LineChart& chart) {
  Frame frame;
  frame.columns = chart.x_labels.size();
  frame.ticks = value_ticks(chart);
  Legend legend = legend_of(chart);
  std::string body = std::move(legend.svg);
  frame.top = legend.bottom + 6;
  body += axes(chart, frame);
  for (size_t i = 0; i < chart.series.size(); ++i) body += line(chart, i, frame);
  const int height = static_cast<int>(frame.top + kPlotHeight + 46);
  return {chart.label, chart.description, kWidth, height, "", body};
}

}  // namespace foregate::report
