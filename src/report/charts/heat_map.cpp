#include "report/charts/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include "report/charts/embedded.h"

namespace foregate::report {
namespace {

constexpr size_t kTitledCells = 600;
constexpr size_t kFewColumns = 12;  // Few columns have long names, which need the room.
constexpr double kHeatMapTop = 36;

struct Layout {
  double left = 0;
  double cell_width = 0;
  double cell_height = 0;
};

/// What the widest label takes as a tick.
double label_room(const std::vector<std::string>& labels) {
  size_t widest = 1;
  for (const std::string& label : labels) widest = std::max(widest, label.size());
  return 8 + 6.5 * static_cast<double>(widest);
}

Layout layout_of(const HeatMap& map) {
  double names = 24;
  for (const std::string& label : map.row_labels)
    names = std::max(names, text_width(shorten(label, 24)));
  const double room = map.square ? 560 : 780;
  Layout layout;
  layout.left = names + 36;
  const auto columns = static_cast<double>(std::max<size_t>(1, map.column_labels.size()));
  double widest = 32;
  if (map.column_labels.size() <= kFewColumns && !map.square)
    widest = std::max(64.0, label_room(map.column_labels));
  layout.cell_width = std::clamp(room / columns, 1.0, widest);
  layout.cell_height = map.square ? layout.cell_width : 18;
  return layout;
}

double largest_of(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (!std::isnan(value)) largest = std::max(largest, value);
  }
  return largest;
}

std::string encode(const std::vector<double>& values, double largest) {
  std::string code;
  for (const double value : values) {
    if (std::isnan(value)) {
      code += "..";
      continue;
    }
    const double share = largest > 0 ? std::clamp(value / largest, 0.0, 1.0) : 0;
    const auto quantum = static_cast<size_t>(std::lround(share * 4095));
    code += kDigits[quantum / 64];
    code += kDigits[quantum % 64];
  }
  return code;
}

std::string data_attributes(const HeatMap& map, const Layout& layout) {
  const double largest = largest_of(map.values);
  std::string text = fmt::format(
      " data-frame=\"{:.6g} {} {:.6g} {:.6g}\" data-rows=\"{}\" data-columns=\"{}\""
      " data-names=\"{}&#10;{}&#10;{}\" data-unit=\"{}\" data-largest=\"{:.9g}\""
      " data-hole=\"{}\" data-cells=\"{}\"",
      layout.left, kHeatMapTop, layout.cell_width, layout.cell_height, joined(map.row_labels),
      joined(map.column_labels), escape(map.row_title), escape(map.column_title),
      escape(map.value_title), static_cast<int>(map.unit), largest, escape(map.hole),
      encode(map.values, largest));
  if (!map.column_base.empty()) {
    const double base = largest_of(map.column_base);
    text += fmt::format(" data-base-largest=\"{:.9g}\" data-base=\"{}\"", base,
                        encode(map.column_base, base));
  }
  return text;
}

std::string titled_cells(const HeatMap& map, const Layout& layout) {
  std::string svg = "<g shape-rendering=\"crispEdges\">\n";
  const size_t columns = map.column_labels.size();
  for (size_t row = 0; row < map.row_labels.size(); ++row) {
    for (size_t column = 0; column < columns; ++column) {
      const double value = map.values[row * columns + column];
      const int color = map.scale.class_of(value);
      svg += fmt::format(
          "<rect class=\"{}\" x=\"{:.6g}\" y=\"{:.6g}\" width=\"{:.6g}\" height=\"{:.6g}\">"
          "<title>{} {}, {} {}: {}</title></rect>\n",
          color < 0 ? "hole" : fmt::format("{}{}", map.scale.prefix, color),
          layout.left + layout.cell_width * static_cast<double>(column),
          kHeatMapTop + layout.cell_height * static_cast<double>(row), layout.cell_width,
          layout.cell_height, escape(map.row_title), escape(map.row_labels[row]),
          escape(map.column_title), escape(map.column_labels[column]),
          std::isnan(value) ? escape(map.hole) : format_value(value, map.unit));
    }
  }
  return svg + "</g>\n";
}

/// One path a colour class; each run of equal cells in a row is "M<column> <row>h<length>", stroked
/// one cell wide.
std::string run_cells(const HeatMap& map, const Layout& layout) {
  const size_t columns = map.column_labels.size();
  const size_t rows = map.row_labels.size();
  std::vector<std::string> paths(static_cast<size_t>(map.scale.num_classes()));
  for (size_t row = 0; row < rows; ++row) {
    const double* values = map.values.data() + row * columns;
    for (size_t begin = 0, end = 0; begin < columns; begin = end) {
      const int color = map.scale.class_of(values[begin]);
      while (end < columns && map.scale.class_of(values[end]) == color) ++end;
      if (color >= 0)
        paths[static_cast<size_t>(color)] += fmt::format("M{} {}h{}", begin, row, end - begin);
    }
  }
  std::string svg = fmt::format(
      "<rect class=\"hole\" x=\"{0:.6g}\" y=\"{1}\" width=\"{2:.6g}\" height=\"{3:.6g}\"/>"
      "<g class=\"runs\" shape-rendering=\"crispEdges\" transform=\"translate({0:.6g} {4:.6g}) "
      "scale({5:.6g} {6:.6g})\">\n",
      layout.left, kHeatMapTop, layout.cell_width * static_cast<double>(columns),
      layout.cell_height * static_cast<double>(rows), kHeatMapTop + layout.cell_height / 2,
      layout.cell_width, layout.cell_height);
  for (size_t color = 0; color < paths.size(); ++color) {
    if (paths[color].empty()) continue;
    svg += fmt::format("<path class=\"{}{}\" d=\"{}\"/>\n", map.scale.prefix, color, paths[color]);
  }
  return svg + "</g>\n";
}

std::string cell_values(const HeatMap& map, const Layout& layout) {
  const size_t columns = map.column_labels.size();
  std::string svg;
  for (size_t i = 0; i < map.values.size(); ++i) {
    const int color = map.scale.class_of(map.values[i]);
    if (color < 0) continue;
    // The upper classes are as dark as ink in the light theme and as bright in the dark one.
    const bool strong = 2 * color >= map.scale.num_classes();
    svg += svg_text(layout.left + layout.cell_width * (static_cast<double>(i % columns) + 0.5),
                    kHeatMapTop + layout.cell_height * (static_cast<double>(i / columns) + 0.5) + 4,
                    "middle", format_value(map.values[i], map.unit), strong ? "strong" : "cell");
  }
  return svg;
}

/// Row and column names, as many as fit.
std::string axis_labels(const HeatMap& map, const Layout& layout, double bottom) {
  std::string svg;
  const auto every_column =
      static_cast<size_t>(std::ceil(label_room(map.column_labels) / layout.cell_width));
  for (size_t i = 0; i < map.column_labels.size(); i += every_column) {
    const double x = layout.left + layout.cell_width * (static_cast<double>(i) + 0.5);
    svg += svg_text(x, kHeatMapTop - 6, "middle", map.column_labels[i], "tick");
  }
  const auto every_row = static_cast<size_t>(std::ceil(13 / layout.cell_height));
  for (size_t i = 0; i < map.row_labels.size(); i += every_row) {
    const double y = kHeatMapTop + layout.cell_height * (static_cast<double>(i) + 0.5) + 4;
    svg += svg_text(layout.left - 6, y, "end", shorten(map.row_labels[i], 24), "tick");
  }
  svg += svg_text(layout.left, 13, "start", map.column_title + " →");
  svg += fmt::format("<g transform=\"translate(13 {:.5g}) rotate(-90)\">{}</g>",
                     (kHeatMapTop + bottom) / 2, svg_text(0, 0, "middle", map.row_title));
  return svg;
}

std::string edge_label(double edge, Unit unit) {
  if (unit == Unit::kPercent)
    return fmt::format("{:.{}f}%", 100 * edge, edge < 0.01 ? 2 : edge < 0.1 ? 1 : 0);
  if (edge >= 100) return fmt::format("{:.0f}", edge);
  return unit == Unit::kRatio ? fmt::format("{:.3g}×", edge) : fmt::format("{:.2g}", edge);
}

std::string legend(const HeatMap& map, double left, double y) {
  constexpr double kSwatch = 44;
  std::string svg = svg_text(left, y, "start", map.value_title);
  for (int i = 0; i < map.scale.num_classes(); ++i) {
    svg += fmt::format(
        "<rect class=\"swatch {}{}\" x=\"{:.5g}\" y=\"{:.5g}\" width=\"{}\" height=\"12\"/>",
        map.scale.prefix, i, left + kSwatch * i, y + 8, kSwatch);
  }
  for (size_t i = 0; i < map.scale.edges.size(); ++i) {
    svg += svg_text(left + kSwatch * static_cast<double>(i + 1), y + 34, "middle",
                    edge_label(map.scale.edges[i], map.unit), "tick");
  }
  return svg;
}

}  // namespace

Chart draw(const HeatMap& map) {
  const Layout layout = layout_of(map);
  const auto columns = static_cast<double>(map.column_labels.size());
  const double right = layout.left + layout.cell_width * columns;
  const double bottom =
      kHeatMapTop + layout.cell_height * static_cast<double>(map.row_labels.size());
  std::string body = map.titles && map.values.size() <= kTitledCells ? titled_cells(map, layout)
                                                                     : run_cells(map, layout);
  if (map.numbers && map.column_labels.size() <= kFewColumns) body += cell_values(map, layout);
  body += axis_labels(map, layout, bottom);
  body += legend(map, layout.left, bottom + 24);
  const double legend_right = layout.left + 44 * map.scale.num_classes();
  const auto width = static_cast<int>(
      std::max({right, legend_right, layout.left + text_width(map.value_title)}) + 16);
  return {map.label,
          map.description,
          width,
          static_cast<int>(bottom + 68),
          data_attributes(map, layout),
          body};
}

}  // namespace foregate::report
